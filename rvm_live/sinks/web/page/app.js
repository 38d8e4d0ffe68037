import { LivePicture } from "./picture.js";
import { arrive } from "./session.js";

await arrive();
window.live = new LivePicture(document.getElementById("picture"), "result");
