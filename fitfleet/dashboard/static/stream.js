// One event stream for all tabs of a browser, and none while no tab is to be seen.
//
// Tabs agree by a lock which of them reads; it hands on what it hears by a channel. Where a browser
// gives no lock (a page that is neither local nor by https) each visible tab reads for itself.

const CLOSE_HIDDEN_MS = 5000;
const AGAIN_MS = [500, 1000, 2000, 5000, 10000];

/** What htmx takes for an EventSource; `state` events tell live or broken. */
export class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
    this.tries = 0;
    const isShared = navigator.locks && window.BroadcastChannel;
    this.channel = isShared ? new BroadcastChannel(`fitfleet ${url}`) : null;
    if (this.channel) this.channel.onmessage = (event) => this.#hear(event.data);
    document.addEventListener("visibilitychange", () => this.#look());
    window.addEventListener("pagehide", () => this.#leave());
    window.addEventListener("pageshow", () => this.#look());
    // After htmx has hung its listeners on.
    setTimeout(() => this.#look());
  }

  close() {
    this.#leave();
    this.readyState = 2;
  }

  #look() {
    clearTimeout(this.hiding);
    if (document.visibilityState === "hidden") {
      this.hiding = setTimeout(() => this.#leave(), CLOSE_HIDDEN_MS);
    } else if (!this.isWaiting) {
      this.isWaiting = true;
      if (this.channel) this.#queue();
      else this.#open();
    }
  }

  /** Read while the lock is held; until then another tab tells what it hears. */
  #queue() {
    this.abort = new AbortController();
    navigator.locks
      .request(`fitfleet ${this.url}`, { signal: this.abort.signal }, () => {
        this.#open();
        return new Promise((release) => (this.release = release));
      })
      .catch(() => {}); // given up before its turn
    this.channel.postMessage({ question: "state" });
  }

  #leave() {
    clearTimeout(this.timer);
    this.isWaiting = false;
    this.abort?.abort();
    this.source?.close();
    this.source = null;
    this.release?.();
    this.release = null;
  }

  #open() {
    this.source = new EventSource(this.url);
    this.source.onopen = () => {
      this.tries = 0;
      this.#say({ state: "live" });
    };
    this.source.onmessage = (event) => this.#say(JSON.parse(event.data));
    this.source.onerror = () => {
      this.source?.close();
      this.source = null;
      this.#say({ state: "broken" });
      const pause = AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)];
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.isWaiting && this.#open(), pause);
    };
  }

  #say(message) {
    this.#hear(message);
    this.channel?.postMessage(message);
  }

  #hear(message) {
    if (message.question) {
      if (this.source) this.channel.postMessage({ state: this.source.readyState === 1 ? "live" : "broken" });
      return;
    }
    if (message.state) {
      this.readyState = message.state === "live" ? 1 : 0;
      this.dispatchEvent(new CustomEvent("state", { detail: message.state }));
      return;
    }
    for (const name of message.names) this.dispatchEvent(new MessageEvent(name, { data: "" }));
    document.dispatchEvent(new CustomEvent("fitfleet:news", { detail: message }));
  }
}
