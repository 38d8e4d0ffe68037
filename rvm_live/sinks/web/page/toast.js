// A few words for a few seconds.

const place = document.getElementById("toasts");

export function toast(words, { wrong = false } = {}) {
  const note = document.createElement("p");
  note.className = wrong ? "toast wrong" : "toast";
  note.textContent = words;
  place.append(note);
  while (place.children.length > 4) place.firstChild.remove();
  setTimeout(() => note.remove(), wrong ? 8000 : 4000);
}

/** Tell what goes wrong with a promise. */
export const told = (promise) => promise.catch((error) => toast(error.message, { wrong: true }));
