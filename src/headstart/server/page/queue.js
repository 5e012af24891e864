// Works on a few items at a time, in order.
export function makeQueue(work, atOnce, changed) {
  let waiting = [];
  let running = 0;
  let done = 0;

  async function run(item) {
    running += 1;
    try {
      await work(item);
    } finally {
      running -= 1;
      done += 1;
      next();
    }
  }

  function next() {
    while (running < atOnce && waiting.length) run(waiting.shift());
    const left = waiting.length + running;
    changed({ done, total: done + left, left });
    if (!left) done = 0;
  }

  return {
    add(items) {
      waiting.push(...items);
      next();
    },
    // Returns what was not begun.
    drain() {
      const dropped = waiting;
      waiting = [];
      next();
      return dropped;
    },
  };
}
