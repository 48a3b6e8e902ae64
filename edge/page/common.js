// Shared by the tabs: requests to the page's server, and the samples of the browser's microphone.
const ser = {
  // Returns the JSON answer. Throws an Error with the server's message; `status` is the HTTP code, 0 without an answer.
  async ask(url, options) {
    const answer = await fetch(url, options).catch(() => null);
    if (!answer) throw Object.assign(new Error("the page's server does not answer; is it still running?"), { status: 0 });
    const values = await answer.json().catch(() => ({ error: "the page's server failed; see its log" }));
    if (values.error) throw Object.assign(new Error(values.error), { status: answer.status });
    return values;
  },

  // Opens the microphone; `receive` is called with Float32Arrays, `lost` is called if the device disappears. Returns rate and close().
  async microphone(receive, lost) {
    if (!navigator.mediaDevices) throw new Error("a browser gives its microphone only to this machine (localhost) or over HTTPS");
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
      throw new Error(error.name === "NotAllowedError" ? "the browser was not allowed to use the microphone"
        : error.name === "NotFoundError" ? "the browser finds no microphone" : `the microphone cannot be opened (${error.name})`);
    });
    const context = new AudioContext();
    const close = () => {
      stream.getTracks().forEach((track) => track.stop());
      if (context.state !== "closed") context.close();
    };
    try {
      const worklet = `registerProcessor("ser-capture", class extends AudioWorkletProcessor {
        process(inputs) { if (inputs[0].length) this.port.postMessage(inputs[0][0].slice()); return true; }
      });`;
      const module = URL.createObjectURL(new Blob([worklet], { type: "text/javascript" }));
      await context.audioWorklet.addModule(module);
      URL.revokeObjectURL(module);
      const capture = new AudioWorkletNode(context, "ser-capture", { channelCount: 1, channelCountMode: "explicit" });
      capture.port.onmessage = ({ data }) => receive(data);
      context.createMediaStreamSource(stream).connect(capture);
      stream.getAudioTracks()[0].onended = lost;
      await context.resume();
      return { rate: context.sampleRate, close };
    } catch (error) {
      close();
      throw error;
    }
  },
};
