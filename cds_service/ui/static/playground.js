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
const narrow = matchMedia("(max-width: 61.9rem)");
const folded = (what) => {
  const part = document.querySelector(what);
  if (part && narrow.matches && document.querySelector("article.card")) part.open = false;
};
folded("details[data-fold]"); // the form, below the cards
document.addEventListener("answered", () => folded(".intro details")); // what this is: the card shows it now
