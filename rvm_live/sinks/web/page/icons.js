// Signs on buttons, drawn with lines of one width.

const NS = "http://www.w3.org/2000/svg";
const PATHS = {
  record: '<circle cx="12" cy="12" r="6" fill="currentColor" stroke="none"/>',
  stop: '<rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor" stroke="none"/>',
  photo: '<path d="M4 8h3l2-2.5h6L17 8h3v11H4z"/><circle cx="12" cy="13" r="3.5"/>',
  privacy: '<path d="M3 3l18 18"/><path d="M10 6a9 9 0 0 1 11 6 12 12 0 0 1-2.5 3.8M6.3 7.5A12 12 0 0 0 3 12c1.5 3.6 4.8 6 9 6 1.5 0 2.9-.3 4-.9"/>',
  pause: '<path d="M9 6v12M15 6v12"/>',
  play: '<path d="M8 5.5v13l11-6.5z"/>',
  mirror: '<path d="M12 4v16"/><path d="M9 8v8H4zM15 8v8h5z"/>',
  full: '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  down: '<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>',
};

/** A sign as an element. */
export function icon(name) {
  const svg = new DOMParser().parseFromString(
    `<svg xmlns="${NS}" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">${PATHS[name]}</svg>`,
    "image/svg+xml",
  ).documentElement;
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

/** Put a sign on every button that asks for one. */
export function decorate() {
  for (const each of document.querySelectorAll("[data-icon]")) each.replaceChildren(icon(each.dataset.icon));
}
