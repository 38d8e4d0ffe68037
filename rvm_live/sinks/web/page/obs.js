// The person alone, transparent, for OBS's Browser Source and other compositors. Nothing else is ever seen here.

import { LivePicture } from "./picture.js";
import { arrive } from "./session.js";

await arrive().catch(() => {}); // a session from before may still be good
window.live = new LivePicture(document.getElementById("person"), "cutout");
