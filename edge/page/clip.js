// The Recording and Compare tabs: choose, drop or record a clip, play it, and send it to be recognized.
// The server receives its bytes, never a name or a path.
(() => {
  const clips = new WeakMap(); // place -> { blob, name }
  const recordings = new WeakMap(); // place -> the recording in progress

  const part = (place, name) => place.querySelector(`.ser-clip-${name}`);

  function say(place, message) {
    part(place, "error").textContent = message;
    part(place, "error").hidden = !message;
  }

  function take(place, blob, name) {
    const player = place.querySelector("audio");
    if (player.src) URL.revokeObjectURL(player.src);
    say(place, "");
    if (blob && blob.size > Number(place.dataset.maxMegabytes) * 2 ** 20) {
      say(place, `${name}: ${(blob.size / 2 ** 20).toFixed(1)} MiB; the page takes ${place.dataset.maxMegabytes} MiB`);
      blob = null;
    }
    if (blob) {
      clips.set(place, { blob, name });
      player.src = URL.createObjectURL(blob);
    } else {
      clips.delete(place);
      player.removeAttribute("src");
    }
    player.hidden = part(place, "clear").hidden = !blob;
    part(place, "name").textContent = blob ? name : "No recording yet: choose a file, drop one here, or record.";
    place.querySelector("input[type=file]").value = ""; // the same file can be chosen again
  }

  // Mono samples -> a WAV file, 16 bits.
  function wav(parts, rate) {
    const length = parts.reduce((sum, samples) => sum + samples.length, 0);
    const view = new DataView(new ArrayBuffer(44 + 2 * length));
    const text = (offset, letters) => [...letters].forEach((letter, n) => view.setUint8(offset + n, letter.charCodeAt(0)));
    text(0, "RIFF");
    view.setUint32(4, 36 + 2 * length, true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 1, true);
    view.setUint32(24, rate, true);
    view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    text(36, "data");
    view.setUint32(40, 2 * length, true);
    let offset = 44;
    for (const samples of parts) {
      for (const sample of samples) {
        view.setInt16(offset, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
        offset += 2;
      }
    }
    return new Blob([view], { type: "audio/wav" });
  }

  function buttons(place, recording) {
    part(place, "record").hidden = recording;
    part(place, "stop").hidden = !recording;
    place.querySelector("input[type=file]").disabled = recording;
  }

  async function record(place) {
    if (recordings.has(place)) return;
    const mine = { parts: [], length: 0, rate: 0 };
    recordings.set(place, mine);
    take(place, null);
    try {
      mine.microphone = await ser.microphone((samples) => {
        mine.parts.push(samples);
        mine.length += samples.length;
        if (!mine.rate) return;
        const seconds = mine.length / mine.rate;
        part(place, "name").textContent = `Recording, ${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
        if (seconds > Number(place.dataset.maxSeconds) - 0.5) stop(place);
      }, () => stop(place));
      mine.rate = mine.microphone.rate;
      buttons(place, true);
    } catch (error) {
      recordings.delete(place);
      say(place, error.message);
    }
  }

  function stop(place) {
    const mine = recordings.get(place);
    if (!mine?.microphone) return;
    recordings.delete(place);
    mine.microphone.close();
    buttons(place, false);
    take(place, wav(mine.parts, mine.rate), "Your recording");
  }

  async function recognize(button) {
    const tab = button.closest(".ser-ask");
    const place = tab.querySelector(".ser-clip");
    const shown = [...tab.querySelectorAll(".ser-result")];
    stop(place);
    const clip = clips.get(place);
    if (!clip) return say(place, "There is no recording yet: choose, drop or record one first.");
    say(place, "");
    const models = [...tab.querySelectorAll("select")].map((choice) => choice.value).join();
    button.disabled = true;
    for (const view of shown) view.textContent = "Recognizing ...";
    try {
      const answer = await ser.ask(`/clip?models=${models}`, { method: "POST", body: clip.blob });
      shown.forEach((view, number) => { view.innerHTML = answer.results[number]; });
    } catch (error) {
      for (const view of shown) view.replaceChildren();
      say(place, error.status === 422 ? `${clip.name}: ${error.message}` : error.message);
    } finally {
      button.disabled = false;
    }
  }

  document.addEventListener("click", ({ target }) => {
    const place = target.closest?.(".ser-clip");
    if (target.matches?.(".ser-recognize")) recognize(target);
    if (!place) return;
    if (target.matches(".ser-clip-record")) record(place);
    if (target.matches(".ser-clip-stop")) stop(place);
    if (target.matches(".ser-clip-clear")) take(place, null);
  });
  document.addEventListener("change", ({ target }) => {
    const place = target.closest?.(".ser-clip");
    if (place && target.files?.length) take(place, target.files[0], target.files[0].name);
  });
  document.addEventListener("dragover", (event) => { if (event.target.closest?.(".ser-clip")) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    const place = event.target.closest?.(".ser-clip");
    if (!place) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) take(place, event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  });

  // The cursor in a picture follows the player below it.
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
