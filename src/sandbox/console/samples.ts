/** A payload to try for each preset: shorter than the services' own, with what the mail is made of. */

interface Sample {
  readonly headers: string;
  readonly payload: string;
}

const sample = (payload: unknown, headers = ''): Sample => ({
  headers,
  payload: JSON.stringify(payload, null, 2),
});

const person = { login: 'ada', html_url: 'https://github.com/ada' };
const repository = {
  name: 'engine',
  full_name: 'ada/engine',
  html_url: 'https://github.com/ada/engine',
  default_branch: 'main',
};

const SAMPLES: Readonly<Record<string, Sample>> = {
  github: sample(
    {
      ref: 'refs/heads/main',
      before: '1111111111111111111111111111111111111111',
      after: '2222222222222222222222222222222222222222',
      compare: 'https://github.com/ada/engine/compare/111111111111...222222222222',
      repository,
      pusher: { name: 'ada' },
      sender: person,
      commits: [
        {
          id: '2222222222222222222222222222222222222222',
          message: 'Carry the one',
          url: 'https://github.com/ada/engine/commit/222222',
          author: { name: 'Ada Lovelace', username: 'ada' },
        },
      ],
    },
    'x-github-event: push',
  ),
  gitlab: sample(
    {
      object_kind: 'push',
      ref: 'refs/heads/main',
      before: '1111111111111111111111111111111111111111',
      after: '2222222222222222222222222222222222222222',
      user_name: 'Ada Lovelace',
      project: { path_with_namespace: 'ada/engine', web_url: 'https://gitlab.com/ada/engine' },
      commits: [
        {
          id: '222222222222',
          title: 'Carry the one',
          message: 'Carry the one',
          url: 'https://gitlab.com/ada/engine/-/commit/2222',
          author: { name: 'Ada Lovelace' },
        },
      ],
      total_commits_count: 1,
    },
    'x-gitlab-event: Push Hook',
  ),
  alertmanager: sample({
    version: '4',
    status: 'firing',
    receiver: 'mail',
    groupKey: '{}:{alertname="DiskFull"}',
    groupLabels: { alertname: 'DiskFull' },
    commonLabels: { alertname: 'DiskFull', severity: 'critical' },
    commonAnnotations: { summary: 'The disk of db-1 is 95 % full' },
    externalURL: 'https://alerts.example.com',
    alerts: [
      {
        status: 'firing',
        labels: { alertname: 'DiskFull', instance: 'db-1', severity: 'critical' },
        annotations: { summary: 'The disk of db-1 is 95 % full' },
        startsAt: '2026-01-05T08:30:00Z',
        generatorURL: 'https://prometheus.example.com/graph',
        fingerprint: 'a1b2c3d4e5f60718',
      },
    ],
  }),
  stripe: sample({
    id: 'evt_1',
    object: 'event',
    type: 'invoice.payment_failed',
    created: 1_767_600_000,
    livemode: false,
    data: {
      object: {
        object: 'invoice',
        id: 'in_1',
        number: 'A-0042',
        customer: 'cus_1',
        customer_email: 'ben@example.com',
        customer_name: 'Ben',
        amount_due: 4900,
        amount_paid: 0,
        amount_remaining: 4900,
        currency: 'eur',
        attempt_count: 2,
        hosted_invoice_url: 'https://invoice.stripe.com/i/1',
      },
    },
  }),
  slack: sample({ text: '*Deployed* <https://example.com|shop 4.2> in 42 s :tada:' }),
  form: sample({
    name: 'Ben',
    email: 'ben@example.com',
    subject: 'A question',
    message: 'Do you ship to Iceland?',
  }),
};

const ANY = sample({ event: 'order.created', order: { id: 4711, total: '49.00 EUR', items: 3 } });

export const sampleOf = (preset: string): Sample => SAMPLES[preset] ?? ANY;
