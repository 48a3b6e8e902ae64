// The Correct tab: lists and plays stored recordings; a choice corrects or deletes one. The server makes the rows.
(() => {
  const at = (id) => document.getElementById(id);

  function say(message) {
    at("ser-correct-error").textContent = message;
    at("ser-correct-error").hidden = !message;
  }

  async function ask(url, options) {
    try {
      const answer = await ser.ask(url, options);
      at("ser-recordings").innerHTML = answer.rows;
      at("ser-correct-note").textContent = answer.note;
      say("");
      return true;
    } catch (error) {
      say(error.message);
      return false;
    }
  }

  async function correct(row, values) {
    for (const control of row.querySelectorAll("select, button")) control.disabled = true;
    if (await ask(`/recordings/${row.dataset.name}`, { method: "POST", body: JSON.stringify(values) })) return;
    for (const control of row.querySelectorAll("select, button")) control.disabled = false;
    if (!row.dataset.speaker) row.querySelector("select").value = "";
  }

  document.addEventListener("click", ({ target }) => {
    if (target.id === "ser-list") ask("/recordings");
    if (target.className === "ser-delete") correct(target.closest("tr"), { delete: true });
  });
  document.addEventListener("change", ({ target }) => {
    const row = target.closest?.("#ser-recordings tr");
    if (row && target.value) correct(row, { emotion: target.value, speaker: row.dataset.speaker || at("ser-speaker").value });
  });

  // The list is requested whenever its tab becomes visible, whichever of Gradio's buttons opened it.
  const seen = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) ask("/recordings"); });
  new MutationObserver((_, watch) => {
    if (!at("ser-correct")) return;
    watch.disconnect();
    seen.observe(at("ser-correct"));
  }).observe(document, { childList: true, subtree: true });
})();
