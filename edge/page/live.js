// The Live tab: sends the microphone's samples to the server in order, shows the answers and collects the CSV rows.
(() => {
  const SEND_SECONDS = 0.25; // of audio per request
  const KEEP_SECONDS = 5; // of audio that waits while the server computes; more is dropped and reported
  const HISTORY = 2000; // segments
  const at = (id) => document.getElementById(id);
  const csv = { header: "", lines: [] };
  let running = null;

  function say(message) {
    at("ser-live-error").textContent = message;
    at("ser-live-error").hidden = !message;
  }

  function buttons() {
    at("ser-start").disabled = running !== null;
    at("ser-stop").disabled = running === null;
    at("ser-csv").disabled = csv.lines.length === 0;
  }

  const post = (url, body, headers) => ser.ask(url, { method: "POST", body, headers });

  function show(answer) {
    at("ser-panel").innerHTML = answer.panel;
    for (const row of answer.rows) at("ser-history").insertAdjacentHTML("afterbegin", row);
    while (at("ser-history").children.length > HISTORY) at("ser-history").lastElementChild.remove();
    csv.lines.push(...answer.csv);
    csv.lines.splice(0, csv.lines.length - HISTORY);
    buttons();
  }

  function process(mine, samples) {
    if (mine.rate && mine.waiting > KEEP_SECONDS * mine.rate) {
      mine.missing += mine.waiting;
      mine.parts = [];
      mine.waiting = 0;
    }
    mine.parts.push(samples);
    mine.waiting += samples.length;
    mine.wake();
  }

  async function start() {
    say("");
    const idle = at("ser-panel").innerHTML;
    const mine = (running = { stopped: false, parts: [], waiting: 0, missing: 0, wake: () => {} });
    buttons();
    try {
      mine.microphone = await ser.microphone((samples) => process(mine, samples), () => { mine.lost = true; stop(mine); });
      mine.rate = mine.microphone.rate;
      const asked = { bundle: at("ser-live-bundle").value, rate: mine.rate };
      const opened = await post("/live", JSON.stringify(asked), { "Content-Type": "application/json" });
      mine.id = opened.id;
      if (csv.header !== opened.csv_header) { // another model's columns: another history
        csv.lines = [];
        at("ser-history").replaceChildren();
      }
      csv.header = opened.csv_header;
      while (!mine.stopped) {
        if (mine.waiting >= SEND_SECONDS * mine.rate) await send(mine);
        else await new Promise((done) => { mine.wake = done; }); // no timer: browsers slow those of hidden tabs down
      }
      mine.microphone.close();
      await send(mine);
      const { id } = mine;
      mine.id = null;
      show(await post(`/live/${id}/end`));
      if (mine.lost) say("the microphone is gone");
    } catch (error) {
      at("ser-panel").innerHTML = idle;
      say(error.message);
    } finally {
      leave(mine);
      running = null;
      buttons();
    }
  }

  function stop(mine) {
    mine.stopped = true;
    mine.wake();
  }

  async function send(mine) {
    const body = new Blob(mine.parts.splice(0));
    const missing = mine.missing / mine.rate;
    mine.waiting = mine.missing = 0;
    show(await post(`/live/${mine.id}`, body, { "X-Missing-Seconds": String(missing) }));
  }

  function leave(mine) {
    mine.microphone?.close();
    if (mine.id) navigator.sendBeacon(`/live/${mine.id}/end`);
    mine.id = null;
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv.header, ...csv.lines], { type: "text/csv" }));
    link.download = "emotions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  document.addEventListener("click", ({ target }) => {
    if (target.id === "ser-start") start();
    if (target.id === "ser-stop" && running) stop(running);
    if (target.id === "ser-csv") save();
  });
  window.addEventListener("pagehide", () => { if (running) leave(running); });
})();
