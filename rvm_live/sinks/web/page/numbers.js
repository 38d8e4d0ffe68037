// How fast it is: a small plot for each stage, of the last minute, and what else is known of the run.

import { state } from "./state.js";
import { say } from "./words.js";

const KEPT = 120;
const STAGES = ["matting", "compositing", "total", "page"];
const past = Object.fromEntries(STAGES.map((stage) => [stage, []]));
const place = document.getElementById("plots");
const facts = document.getElementById("facts");
const parts = {};

function build() {
  for (const stage of STAGES) {
    const figure = document.createElement("figure");
    figure.dataset.stage = stage;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    const words = document.createElement("figcaption");
    const [name, value] = [document.createElement("span"), document.createElement("b")];
    words.append(name, value);
    figure.append(words, canvas);
    place.append(figure);
    parts[stage] = { canvas, name, value };
  }
}

function plot(stage) {
  const { canvas, name, value } = parts[stage];
  const values = past[stage];
  const now = values.at(-1);
  name.textContent = say(`stage.${stage}`);
  value.textContent = now ? `${now < 10 ? now.toFixed(1) : Math.round(now)} ${say("ms")}` : "–";
  canvas.setAttribute("aria-label", say("plot_alt", { stage: name.textContent, ms: now ? Math.round(now) : 0 }));
  const scale = devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (!width) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const colour = getComputedStyle(canvas).color;
  context.clearRect(0, 0, width, height);
  const known = values.filter((each) => each > 0);
  if (known.length < 2) return;
  const top = Math.max(...known) * 1.15;
  const low = Math.min(...known) * 0.7;
  const at = (each, index) => [
    ((index + KEPT - values.length) / (KEPT - 1)) * width,
    height - ((each - low) / (top - low || 1)) * (height - 4 * scale) - 2 * scale,
  ];
  const line = new Path2D();
  values.forEach((each, index) => (each > 0 ? line.lineTo(...at(each, index)) : null));
  const area = new Path2D(line);
  area.lineTo(width, height);
  area.lineTo(at(0, values.findIndex((each) => each > 0))[0], height);
  context.fillStyle = colour;
  context.globalAlpha = 0.14;
  context.fill(area);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 1.6 * scale;
  context.lineJoin = "round";
  context.stroke(line);
}

function tell() {
  const { status } = state;
  const drops = Object.entries(status.drops ?? {}).filter(([, count]) => count);
  const rows = {
    device: [status.device, status.device_name].filter(Boolean).join(" · "),
    model: [...new Set([status.engine, status.model, status.precision])].filter(Boolean).join(" "),
    backend: status.backend,
    source: status.source,
    size: status.size?.[0] ? `${status.size[0]} × ${status.size[1]}` : "",
    drops: drops.map(([name, count]) => `${name} ${count}`).join(" · ") || say("no_drops"),
    viewers: status.viewers?.length ? String(status.viewers.length) : "",
  };
  const wanted = Object.entries(rows).filter(([, value]) => value);
  facts.replaceChildren(
    ...wanted.map(([name, value]) => {
      const row = document.createElement("div");
      row.append(Object.assign(document.createElement("dt"), { textContent: say(`fact.${name}`) }));
      row.append(Object.assign(document.createElement("dd"), { textContent: value }));
      return row;
    }),
  );
}

/** @param {() => number} age of the picture that was drawn last, milliseconds */
export function begin(age) {
  build();
  state.addEventListener("status", () => {
    const { status } = state;
    const now = { matting: status.matting_ms, compositing: status.compositing_ms, total: status.total_ms, page: age() };
    for (const stage of STAGES) {
      past[stage].push(now[stage] ?? 0);
      if (past[stage].length > KEPT) past[stage].shift();
      plot(stage);
    }
    tell();
  });
  state.addEventListener("state", tell);
}
