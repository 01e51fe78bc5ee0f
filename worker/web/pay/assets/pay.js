// Asks every two seconds whether the page would look another way, and shows it anew when it would. Without this script
// everything else works: there is a link to reload the page.
"use strict";

const EVERY_MS = 2000;
const GIVE_UP_MS = 8000;
const GONE = 410;

const shown = document.querySelector("[data-status]");
const hint = document.querySelector("[data-live]");

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(shown.dataset.status, { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
    if (answer.status === GONE || (answer.ok && (await answer.json()).tag !== shown.dataset.tag)) showAnew();
  } catch {
    // The network is away for a moment: the next look finds out.
  }
}

// Not reload(): a page that answered the button would send its form once more.
function showAnew() {
  location.replace(location.pathname + location.search);
}

async function keepLooking() {
  await look();
  setTimeout(keepLooking, EVERY_MS);
}

if (shown) {
  if (hint) hint.hidden = false;
  document.addEventListener("visibilitychange", look);
  setTimeout(keepLooking, EVERY_MS);
}
