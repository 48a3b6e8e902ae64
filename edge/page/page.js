// The microphone of the Live tab, its history, and the cursor of the player. Formatting is the server's business.
(() => {
  const SEND_SECONDS = 0.25; // of audio per request
  const KEEP_SECONDS = 5; // of audio that waits while the server computes; more is dropped and told
  const HISTORY = 2000; // segments
  const WORKLET = `registerProcessor("ser-capture", class extends AudioWorkletProcessor {
    process(inputs) { if (inputs[0].length) this.port.postMessage(inputs[0][0].slice()); return true; }
  });`;
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

  async function post(url, body, headers) {
    const answer = await fetch(url, { method: "POST", body, headers }).catch(() => null);
    if (!answer) throw new Error("the page's server does not answer; is it still running?");
    const told = await answer.json().catch(() => ({ error: "the page's server failed; see its log" }));
    if (told.error) throw new Error(told.error);
    return told;
  }

  function show(told) {
    at("ser-panel").innerHTML = told.panel;
    for (const row of told.rows) at("ser-history").insertAdjacentHTML("afterbegin", row);
    while (at("ser-history").children.length > HISTORY) at("ser-history").lastElementChild.remove();
    csv.lines.push(...told.csv);
    csv.lines.splice(0, csv.lines.length - HISTORY);
    buttons();
  }

  async function microphone() {
    if (!navigator.mediaDevices) throw new Error("a browser gives its microphone only to this machine (localhost) or over HTTPS");
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    try {
      return await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? "the browser was not allowed to use the microphone"
        : error.name === "NotFoundError" ? "the browser finds no microphone" : `the microphone cannot be opened (${error.name})`);
    }
  }

  async function start() {
    say("");
    const mine = (running = { stopped: false, parts: [], waiting: 0, missing: 0, wake: () => {} });
    buttons();
    try {
      mine.stream = await microphone();
      mine.context = new AudioContext();
      const module = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
      await mine.context.audioWorklet.addModule(module);
      URL.revokeObjectURL(module);
      mine.rate = mine.context.sampleRate;
      const asked = { bundle: at("ser-live-bundle").value, rate: mine.rate };
      const opened = await post("/live", JSON.stringify(asked), { "Content-Type": "application/json" });
      mine.id = opened.id;
      if (csv.header !== opened.csv_header) { // another model's columns: another history
        csv.lines = [];
        at("ser-history").replaceChildren();
      }
      csv.header = opened.csv_header;
      const capture = new AudioWorkletNode(mine.context, "ser-capture", { channelCount: 1, channelCountMode: "explicit" });
      capture.port.onmessage = ({ data }) => {
        if (mine.waiting > KEEP_SECONDS * mine.rate) {
          mine.missing += mine.waiting;
          mine.parts = [];
          mine.waiting = 0;
        }
        mine.parts.push(data);
        mine.waiting += data.length;
        if (mine.waiting >= SEND_SECONDS * mine.rate) mine.wake();
      };
      mine.context.createMediaStreamSource(mine.stream).connect(capture);
      mine.stream.getAudioTracks()[0].onended = () => { mine.lost = true; stop(mine); };
      await mine.context.resume();
      while (!mine.stopped) {
        if (mine.waiting >= SEND_SECONDS * mine.rate) await send(mine);
        else await new Promise((done) => { mine.wake = done; }); // no timer: browsers slow those of hidden tabs down
      }
      await send(mine);
      const { id } = mine;
      mine.id = null;
      show(await post(`/live/${id}/end`));
      if (mine.lost) say("the microphone is gone");
    } catch (error) {
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
    mine.stream?.getTracks().forEach((track) => track.stop());
    if (mine.context?.state !== "closed") mine.context?.close();
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

  document.addEventListener("timeupdate", ({ target }) => {
    const view = target.closest?.(".ser-view");
    if (!view) return;
    const { seconds, left, span } = view.dataset;
    const x = Number(left) + (Number(span) * Math.min(target.currentTime, seconds)) / seconds;
    const cursor = view.querySelector(".ser-cursor");
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.style.visibility = "visible";
  }, true);
})();
