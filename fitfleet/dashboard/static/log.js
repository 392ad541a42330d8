// A log that follows: what was printed since is appended; the reader may stop it from moving.
const LOOK_MS = 1000;

export function startLog(root) {
  const log = document.getElementById("log");
  if (!log) return;
  const follow = document.getElementById("follow");
  log.scrollTop = log.scrollHeight;
  let isAsking = false;

  async function ask() {
    if (isAsking || document.visibilityState !== "visible") return;
    isAsking = true;
    try {
      const { job, offset, attempt } = log.dataset;
      const answer = await fetch(`${root}/data/log/${job}?offset=${offset}&attempt=${attempt}`);
      if (answer.ok) show(await answer.json());
    } catch {
      // The stream says that the server is away.
    } finally {
      isAsking = false;
    }
  }

  function show(news) {
    if (news.is_new) log.replaceChildren();
    log.insertAdjacentHTML("beforeend", news.html); // escaped by our own server
    Object.assign(log.dataset, { offset: news.offset, attempt: news.attempt, ended: news.is_ended ? 1 : 0 });
    document.getElementById("log-empty").hidden = log.textContent !== "";
    if (news.html && follow.checked) log.scrollTop = log.scrollHeight;
  }

  setInterval(() => log.dataset.ended === "0" && ask(), LOOK_MS);
  document.addEventListener("fitfleet:news", (event) => {
    if (event.detail.names.includes(`job-${log.dataset.job}`)) ask();
  });
}
