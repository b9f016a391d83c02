/** Microphone input through an AudioWorklet: 16 kHz mono Int16Arrays of 100 ms. */

const PROBLEMS = {
  NotAllowedError:
    "Access to the microphone was denied. Allow it in the settings of this page (left of the address), " +
    "then press Record again.",
  NotFoundError: "No microphone was found. Connect one, then press Record again.",
  NotReadableError: "The microphone cannot be opened; another program may be using it.",
};

export class Microphone {
  /**
   * Request access to the microphone and start. `onFrame(Int16Array)` receives the audio, `onLost()` is called when
   * the device disappears. Rejects with an Error whose message is meant for the user.
   */
  static async open({ onFrame, onLost }) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        "Browsers allow microphone access only to pages from this machine (http://localhost) or over https.",
      );
    }
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({
        // These filters would remove cues of emotion.
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new Error(PROBLEMS[error.name] ?? `The microphone cannot be used: ${error.message}`);
    }
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
      await context.resume();
    } catch (error) {
      media.getTracks().forEach((track) => track.stop());
      await context.close();
      const reachable = await fetch("healthz").then(() => true, () => false);
      throw new Error(
        reachable ? `The audio cannot be processed in this browser: ${error.message}` : "The server cannot be reached.",
      );
    }
    return new Microphone(media, context, onFrame, onLost);
  }

  constructor(media, context, onFrame, onLost) {
    this._media = media;
    this._context = context;
    this._node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    this._done = new Promise((resolve) => {
      this._node.port.onmessage = ({ data }) => (data ? onFrame(data) : resolve());
    });
    media.getAudioTracks()[0].addEventListener("ended", onLost);
    context.createMediaStreamSource(media).connect(this._node);
  }

  /** Stop; resolves when the last frame was delivered and the device is released. */
  async close() {
    this._node.port.postMessage("stop");
    await Promise.race([this._done, new Promise((resolve) => setTimeout(resolve, 1000))]);
    this._media.getTracks().forEach((track) => track.stop());
    await this._context.close();
  }
}
