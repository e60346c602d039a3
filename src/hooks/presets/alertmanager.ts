/** Alertmanager's `webhook_config`: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config */

import { alertGroup } from '../alert-group.ts';
import { text } from '../json-read.ts';
import type { Preset } from '../notice.ts';
import { link } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const alertmanager: Preset = ({ payload }) => {
  const notice = alertGroup(payload, 'alertmanager', [['Source', 'generatorURL']]);
  if (notice === null) return anyNotice(payload, 'Alertmanager event');
  return { ...notice, link: link('Open Alertmanager', text(payload, 'externalURL')) };
};
