/** A clock that stands still until a test moves it, in milliseconds. */
export function standingClock() {
  let time = 5_000_000;
  return {
    now: () => time,
    advance: async (ms: number) => {
      time += ms;
    },
  };
}
