// All words of the page come from strings.json; here one of its languages is chosen and put in place.

const all = await (await fetch("/page/strings.json")).json();
const wished = localStorage.getItem("language") ?? navigator.language.slice(0, 2);
let language = wished in all ? wished : "en";

export const languages = Object.entries(all).map(([code, words]) => [code, words._name]);
export const spoken = () => language;

/** Words by name; `{name}` in them is filled in. A name without words gives `otherwise`, or itself. */
export function say(name, values = {}, otherwise = name) {
  const words = all[language][name] ?? all.en[name] ?? otherwise;
  return words.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** A control's or choice's name as people write it, where no words are known for it. */
export const plainly = (name) => {
  const words = String(name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** Put words into everything that asks for some. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const each of root.querySelectorAll("[data-words]")) each.textContent = say(each.dataset.words);
  for (const each of root.querySelectorAll("[data-label]")) {
    each.setAttribute("aria-label", say(each.dataset.label));
    if (each.matches("button")) each.title = say(each.dataset.label);
  }
  for (const each of root.querySelectorAll("[data-hint]")) each.placeholder = say(each.dataset.hint);
}

export function speak(code) {
  language = code in all ? code : "en";
  localStorage.setItem("language", language);
  translate();
}
