/* Conveniences: without this script every page works as it is. What each module does stands at its beginning. */
import { copyButtons } from "./copy.js";
import { live } from "./live.js";
import { link } from "./link.js";
import { whatIf } from "./whatif.js";
import { tabs } from "./tabs.js";
import { studio } from "./studio.js";

const prepared = (part) => { copyButtons(part); tabs(part); };
prepared(document);
live(prepared);
link();
whatIf();
studio();
const fold = document.querySelector("details[data-fold]");
if (fold && document.querySelector("article.card") && matchMedia("(max-width: 61.9rem)").matches) fold.open = false;
