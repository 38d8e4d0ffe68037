// The live picture on a canvas. One picture is on its way at a time: the next one comes when this one is drawn, so that
// whoever is slow gets fewer pictures and never older ones. What can no longer be true is wiped off.

import { API } from "./session.js";

const HEAD = 20; // bytes, as HEAD in viewers.py
const GONE_MS = 1000; // the server tells three times a second that the last picture may stand
const AGAIN_MS = [250, 500, 1000, 2000];

export class LivePicture extends EventTarget {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {string} kind result, matte or cutout
   */
  constructor(canvas, kind) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: true });
    this.kind = kind;
    this.pictures = 0;
    this.tries = 0;
    this.heard = 0;
    setInterval(() => this.#look(), 200);
    this.#connect();
  }

  /** Show another kind from now on. */
  show(kind) {
    if (kind === this.kind) return;
    this.kind = kind;
    this.#wipe();
    this.socket?.close();
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${API}/watch?kind=${this.kind}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = ({ data }) => this.#take(socket, data).catch(() => socket.close());
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.#wipe();
      this.dispatchEvent(new Event("lost"));
      setTimeout(() => this.#connect(), AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)]);
    };
  }

  async #take(socket, data) {
    const head = new DataView(data, 0, HEAD);
    this.heard = performance.now();
    if (!head.getUint8(0)) return;
    const [number, age, masked] = [head.getUint32(4, true), head.getFloat64(8, true), head.getUint32(16, true)];
    const mask = masked ? new Blob([new Uint8Array(data, HEAD, masked)], { type: "image/png" }) : null;
    const colour = new Blob([new Uint8Array(data, HEAD + masked)], { type: "image/jpeg" });
    const [shape, picture] = await Promise.all([mask && createImageBitmap(mask), createImageBitmap(colour)]);
    if (this.socket !== socket || socket.readyState !== WebSocket.OPEN) return;
    const { canvas, context } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
      this.dispatchEvent(new Event("size"));
    }
    context.globalCompositeOperation = "copy";
    if (shape) {
      context.drawImage(shape, 0, 0);
      context.globalCompositeOperation = "source-in"; // the colour, where the mask is, as much as it is
    }
    context.drawImage(picture, 0, 0);
    shape?.close();
    picture.close();
    this.tries = 0;
    this.age = age;
    this.pictures += 1;
    const answer = new DataView(new ArrayBuffer(4));
    answer.setUint32(0, number, true);
    socket.send(answer.buffer);
    if (this.pictures === 1 || this.empty) this.dispatchEvent(new Event("first"));
    this.empty = false;
  }

  #look() {
    if (!this.empty && performance.now() - this.heard > GONE_MS) this.#wipe();
  }

  #wipe() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.empty) this.dispatchEvent(new Event("wiped"));
    this.empty = true;
  }
}
