import { expect, it } from 'vitest';
import { Registry } from '../../src/metrics/registry.ts';

it('renders counters, histograms and what is read', async () => {
  const registry = new Registry();
  const counter = registry.counter('sent_total', 'What was sent.\nIn \\ lines.');
  counter.add({ door: 'http' });
  counter.add({ door: 'http' }, 2);
  counter.add({ door: 'a "quoted" \\ name\n' }, 0);
  const histogram = registry.histogram('step_seconds', 'Steps.', [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe({ step: 'send' }, value);
  registry.read('idle', 'gauge', 'Idle.', () => [{ labels: {}, value: 3 }]);
  registry.read('odd', 'gauge', 'Odd.', () => [
    { labels: { n: '1' }, value: Number.POSITIVE_INFINITY },
    { labels: { n: '2' }, value: Number.NaN },
  ]);
  expect(await registry.render()).toBe(String.raw`# HELP sent_total What was sent.\nIn \\ lines.
# TYPE sent_total counter
sent_total{door="http"} 3
sent_total{door="a \"quoted\" \\ name\n"} 0
# HELP step_seconds Steps.
# TYPE step_seconds histogram
step_seconds_bucket{step="send",le="0.1"} 2
step_seconds_bucket{step="send",le="1"} 3
step_seconds_bucket{step="send",le="+Inf"} 4
step_seconds_sum{step="send"} 7.65
step_seconds_count{step="send"} 4
# HELP idle Idle.
# TYPE idle gauge
idle 3
# HELP odd Odd.
# TYPE odd gauge
odd{n="1"} +Inf
odd{n="2"} NaN
`);
});

it('leaves out what cannot be read, and what has no series', async () => {
  const registry = new Registry();
  registry.counter('nothing_total', 'Nothing.');
  registry.read('away', 'gauge', 'Away.', async () => {
    throw new Error('away');
  });
  registry.read('here', 'gauge', 'Here.', async () => [{ labels: {}, value: 1 }]);
  expect(await registry.render()).toBe('# HELP here Here.\n# TYPE here gauge\nhere 1\n');
});
