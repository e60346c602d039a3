/** Counters, histograms and gauges in Prometheus' text format 0.0.4: as much of it as Postern needs. */

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Counter {
  /** @param value - not negative; 0 shows a series before anything was counted */
  add(labels: Labels, value?: number): void;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
}

/** What a figure that is read at the time of a scrape is: a counter never falls but by a restart. */
type ReadType = 'gauge' | 'counter';

/** `http://…/docs/instrumenting/exposition_formats`: a name, `# HELP`, `# TYPE`, then a line for each series. */
export class Registry {
  readonly #families: (() => Promise<string>)[] = [];

  counter(name: string, help: string): Counter {
    const series = new Map<string, Sample>();
    this.#add(name, 'counter', help, async () => [...series.values()].map((sample) => line(name, sample)));
    return {
      add(labels, value = 1) {
        const key = labelsText(labels);
        series.set(key, { labels, value: (series.get(key)?.value ?? 0) + value });
      },
    };
  }

  /** @param buckets - upper bounds, ascending */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    const series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();
    const bounds = [...buckets, Number.POSITIVE_INFINITY];
    this.#add(name, 'histogram', help, async () =>
      [...series.values()].flatMap(({ labels, counts, sum }) => {
        let count = 0;
        const lines = bounds.map((bound, i) => {
          count += counts[i] ?? 0;
          return line(`${name}_bucket`, { labels: { ...labels, le: numberText(bound) }, value: count });
        });
        return [
          ...lines,
          line(`${name}_sum`, { labels, value: sum }),
          line(`${name}_count`, { labels, value: count }),
        ];
      }),
    );
    return {
      observe(labels, value) {
        const key = labelsText(labels);
        const found = series.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0 };
        const bucket = bounds.findIndex((bound) => value <= bound);
        found.counts[bucket] = (found.counts[bucket] ?? 0) + 1;
        found.sum += value;
        series.set(key, found);
      },
    };
  }

  /** A figure that is read when it is asked for; where reading fails, it is left out of that scrape. */
  read(
    name: string,
    type: ReadType,
    help: string,
    read: () => readonly Sample[] | Promise<readonly Sample[]>,
  ): void {
    this.#add(name, type, help, async () => (await read()).map((sample) => line(name, sample)));
  }

  async render(): Promise<string> {
    const families = await Promise.all(this.#families.map((family) => family()));
    return families.join('');
  }

  #add(name: string, type: string, help: string, lines: () => Promise<string[]>): void {
    this.#families.push(async () => {
      const found = await lines().catch(() => []);
      if (found.length === 0) return '';
      return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${found.join('')}`;
    });
  }
}

const line = (name: string, { labels, value }: Sample): string =>
  `${name}${labelsText(labels)} ${numberText(value)}\n`;

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

/** As Go's ParseFloat takes it. */
const numberText = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
