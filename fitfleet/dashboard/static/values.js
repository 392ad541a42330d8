// Values of curves as this page knows them: what is new is asked for, nothing twice.

const MAX_FULL = 200; // of more curves every so many epochs only
const DRAWN = 100; // epochs of each then

export class Values {
  constructor(root) {
    this.root = root;
    this.jobs = new Map(); // job -> {epochs, values, seconds, status}
    this.metric = null;
    this.turn = 0;
  }

  /** Bring these jobs up to date; `onPiece` is called after each answer. False: a later call came. */
  async read(metric, ids, onPiece = () => {}) {
    if (metric !== this.metric) this.jobs.clear();
    this.metric = metric;
    const turn = ++this.turn;
    const stride = ids.length > MAX_FULL ? Math.ceil((ids.length * 10) / DRAWN / 10) : 1;
    for (let hasMore = true; hasMore; ) {
      const known = ids.map((id) => `${id}:${this.#lastEpoch(id)}`).join(",");
      const query = new URLSearchParams({ metric, stride, jobs: known });
      const answer = await fetch(`${this.root}/data/curves?${query}`);
      if (!answer.ok || turn !== this.turn) return false;
      const news = await answer.json();
      if (turn !== this.turn) return false;
      for (const [id, piece] of Object.entries(news.jobs)) this.#add(id, piece);
      hasMore = news.has_more;
      onPiece();
    }
    return true;
  }

  #lastEpoch(id) {
    return this.jobs.get(String(id))?.known ?? 0;
  }

  #add(id, piece) {
    const job = this.jobs.get(id) ?? { epochs: [], values: [], known: 0 };
    // An attempt that was lost may have got further than its checkpoint.
    while (job.epochs.length && job.epochs.at(-1) > piece.epoch) {
      job.epochs.pop();
      job.values.pop();
    }
    job.epochs.push(...piece.epochs);
    job.values.push(...piece.values);
    job.known = Math.min(piece.epoch, job.epochs.at(-1) ?? 0);
    job.status = piece.status;
    job.secondsEach = piece.epoch ? piece.seconds / piece.epoch : 0;
    this.jobs.set(id, job);
  }
}
