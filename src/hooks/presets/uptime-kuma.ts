/** Uptime Kuma's webhook notification, JSON body: https://github.com/louislam/uptime-kuma/wiki/Notification-Methods */

import { number, text } from '../json-read.ts';
import type { Notice, Preset } from '../notice.ts';
import { facts, firstLine, link, section } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

/** By the heartbeat's status. */
const STATES: readonly { readonly word: string; readonly tone: Notice['tone'] }[] = [
  { word: 'Down', tone: 'bad' },
  { word: 'Up', tone: 'good' },
  { word: 'Pending', tone: 'warning' },
  { word: 'Maintenance', tone: 'neutral' },
];

export const uptimeKuma: Preset = ({ payload }) => {
  const state = STATES[number(payload, 'heartbeat.status') ?? -1];
  const message = text(payload, 'msg');
  if (state === undefined) return message === null ? anyNotice(payload, 'Uptime Kuma event') : plain(message);
  const name = text(payload, 'monitor.name') ?? 'Monitor';
  const monitor = text(payload, 'monitor.id') ?? text(payload, 'heartbeat.monitorID');
  const ping = text(payload, 'heartbeat.ping');
  const page = text(payload, 'monitor.url');
  const zone = text(payload, 'heartbeat.timezone');
  const time = text(payload, 'heartbeat.localDateTime');
  return {
    subject: `[${state.word}] ${name}`,
    title: `${name} is ${state.word === 'Maintenance' ? 'in maintenance' : state.word.toLowerCase()}`,
    tone: state.tone,
    sections: section(
      null,
      text(payload, 'heartbeat.msg'),
      facts([
        // A monitor of another kind than HTTP has this for its address.
        ['Address', page === 'https://' ? null : page, page],
        ['Host', text(payload, 'monitor.hostname')],
        ['Port', text(payload, 'monitor.port')],
        ['Time', time === null || zone === null ? text(payload, 'heartbeat.time') : `${time} (${zone})`],
        ['Response time', ping === null ? null : `${ping} ms`],
      ]),
    ),
    link: link('Open the page', page),
    thread: monitor === null ? null : `uptime-kuma:${monitor}`,
    key: null,
  };
};

/** A test, or a certificate that expires soon. */
function plain(message: string): Notice {
  return {
    subject: `Uptime Kuma: ${firstLine(message)}`,
    title: 'Uptime Kuma',
    tone: 'neutral',
    sections: section(null, message),
    link: null,
    thread: null,
    key: null,
  };
}
