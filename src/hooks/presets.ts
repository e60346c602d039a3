/** The presets by the name that a hook gives. `form` is none of them: it is read before it is a notice. */

import type { Preset } from './notice.ts';
import { alertmanager } from './presets/alertmanager.ts';
import { any } from './presets/any.ts';
import { cloudevents } from './presets/cloudevents.ts';
import { github } from './presets/github.ts';
import { gitlab } from './presets/gitlab.ts';
import { grafana } from './presets/grafana.ts';
import { sentry } from './presets/sentry.ts';
import { slack } from './presets/slack.ts';
import { statuspage } from './presets/statuspage.ts';
import { stripe } from './presets/stripe.ts';
import { uptimeKuma } from './presets/uptime-kuma.ts';

export type PresetName =
  | 'alertmanager'
  | 'any'
  | 'cloudevents'
  | 'github'
  | 'gitlab'
  | 'grafana'
  | 'sentry'
  | 'slack'
  | 'statuspage'
  | 'stripe'
  | 'uptime-kuma';

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  alertmanager,
  any,
  cloudevents,
  github,
  gitlab,
  grafana,
  sentry,
  slack,
  statuspage,
  stripe,
  'uptime-kuma': uptimeKuma,
};
