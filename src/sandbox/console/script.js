/** What makes the pages live. They work without it, and then show what was there when they were loaded. */

document.documentElement.classList.add('scripted');
// The reference, which is the gateway's own, leads back where there is a console.
sessionStorage.console = 'yes';

const live = document.querySelector('#live');

/** Says something to a screen reader. */
export const say = (text) => {
  live.textContent = '';
  requestAnimationFrame(() => {
    live.textContent = text;
  });
};

/** A region that changes under a finger or a selection would take the click or the words away. */
let isPressed = false;
addEventListener('pointerdown', () => {
  isPressed = true;
});
for (const type of ['pointerup', 'pointercancel']) {
  addEventListener(type, () => {
    // The click comes after it.
    setTimeout(() => {
      isPressed = false;
    });
  });
}
const isInHand = (region) => isPressed || (!getSelection().isCollapsed && region.contains(getSelection().anchorNode));

/** A turn that was left out is made up for. */
function later(region) {
  clearTimeout(region.timer);
  region.timer = setTimeout(refresh, 300, region);
}

/** Times as the reader's clock has them, with the date where it is not today. */
function localise(root) {
  for (const element of root.querySelectorAll('time')) {
    const date = new Date(element.dateTime);
    const day = { day: 'numeric', month: 'short' };
    const isToday = date.toDateString() === new Date().toDateString();
    element.textContent = `${isToday ? '' : `${date.toLocaleDateString('en-GB', day)}, `}${date.toLocaleTimeString('en-GB')}`;
  }
}
localise(document);

const topOf = (element) => element.getBoundingClientRect().top;

/** @returns brings the first row in sight back to where it stood, where its reader has scrolled past the beginning */
function holdOf(region) {
  const row = topOf(region) < 0 && [...region.querySelectorAll('[id]')].find((one) => topOf(one) >= 0);
  if (!row) return () => {};
  const before = topOf(row);
  return () => {
    const after = document.getElementById(row.id);
    if (after) scrollBy({ top: topOf(after) - before, behavior: 'instant' });
  };
}

/** Fetches the page again and puts its region in the place of this one's; the focus stays where it was. */
async function refresh(region) {
  if (region.busy || isInHand(region)) return later(region);
  region.busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = page.querySelector(`[data-live="${region.dataset.live}"]`);
    if (fresh) localise(fresh);
    if (!fresh || fresh.innerHTML === region.innerHTML) return;
    if (isInHand(region)) return later(region);
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const known = new Set([...region.querySelectorAll('[id]')].map(({ id }) => id));
    const hadMore = Number(fresh.dataset.last) > Number(region.dataset.last);
    const hold = holdOf(region);
    region.replaceChildren(...fresh.childNodes);
    hold();
    if (hadMore) {
      say(`New message: ${fresh.dataset.newest}`);
      for (const item of region.querySelectorAll('.mails a')) if (!known.has(item.id)) item.classList.add('arrived');
    }
    Object.assign(region.dataset, fresh.dataset);
    // What had it may be gone.
    if (focused) (document.getElementById(focused.id) ?? document.querySelector('#main')).focus({ preventScroll: true });
  } catch {
    // The sandbox has ended, or is being started again: the next turn shows.
  } finally {
    region.busy = false;
  }
}

for (const region of document.querySelectorAll('[data-live]')) {
  if (region.dataset.every) {
    setInterval(() => document.hidden || refresh(region), Number(region.dataset.every));
  }
  if (region.dataset.live === 'inbox') follow(region);
}

/** Listens while the page is seen: a browser has six connections to a host, and a tab in the background needs none. */
function follow(region) {
  let events = null;
  const listen = () => {
    events?.close();
    events = null;
    if (document.hidden) return;
    events = new EventSource('/sandbox/events');
    events.addEventListener('inbox', () => refresh(region));
    // What came between the page and the stream, or while the stream was away.
    events.addEventListener('open', () => refresh(region));
  };
  document.addEventListener('visibilitychange', listen);
  listen();
}

// On a phone the tabs are wider than the page; `scrollIntoView` would scroll the page, too.
const tab = document.querySelector('nav.tabs [aria-current]');
if (tab) {
  const strip = tab.closest('nav');
  strip.scrollLeft = tab.offsetLeft - strip.offsetLeft - (strip.clientWidth - tab.offsetWidth) / 2;
}

/**
 * A form that leaves its reader on the page, and changes one region of it. What asks for an assurance asks here, and not
 * by a page of its own.
 */
document.addEventListener('submit', async (event) => {
  const { target: form, submitter } = event;
  const { changes, ask, done = '' } = form.dataset;
  if (!changes) return;
  event.preventDefault();
  if (ask && !confirm(ask)) return;
  const body = new URLSearchParams(new FormData(form, submitter));
  if (ask) body.set('sure', 'yes');
  try {
    await fetch(form.action, { method: 'POST', body });
    say(done);
  } catch ({ message }) {
    say(`The gateway did not answer: ${message}`);
  }
  refresh(document.querySelector(`[data-live="${changes}"]`));
});

/** What is searched for shows while it is written, on the same page. */
for (const form of document.querySelectorAll('[data-filters]')) {
  let timer;
  const filter = async () => {
    clearTimeout(timer);
    const chosen = [...new FormData(form)].filter(([, value]) => value);
    history.replaceState(null, '', `${form.action}?${new URLSearchParams(chosen)}`.replace(/\?$/, ''));
    const region = document.querySelector(`[data-live="${form.dataset.filters}"]`);
    await refresh(region);
    say(region.querySelector('.bar p').textContent);
  };
  form.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(filter, 150);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    filter();
  });
}

document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]');
  if (!button) return;
  const pre = button.closest('.code').querySelector('pre');
  const whole = pre.dataset.whole ?? pre.textContent;
  let done = 'Copied';
  try {
    await navigator.clipboard.writeText(whole);
  } catch {
    // Only https and localhost have a clipboard, and it may be refused.
    pre.textContent = whole;
    getSelection().selectAllChildren(pre);
    done = 'Selected';
  }
  button.textContent = done;
  say(done);
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 1500);
});

const COMPOSE = '/sandbox/compose';

/** `/` searches and `c` composes, where nothing is being written. */
document.addEventListener('keydown', (event) => {
  const isWriting = event.target.closest('input, textarea, select, [contenteditable]');
  if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (field) {
    event.preventDefault();
    field.focus();
  } else if (event.key === 'c' && location.pathname !== COMPOSE) {
    location.href = COMPOSE;
  }
});
