/** Stripe's events: https://docs.stripe.com/api/events/types */

import { at, number, text } from '../json-read.ts';
import type { Notice, Preset } from '../notice.ts';
import { facts, join, link, section, sentence, time } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const stripe: Preset = ({ payload }) => {
  const type = text(payload, 'type') ?? '';
  const key = text(payload, 'id');
  const object = at(payload, 'data.object');
  const test = at(payload, 'livemode') === false ? 'Test mode' : null;
  if (type.startsWith('invoice.') && text(object, 'object') === 'invoice') {
    return { ...invoice(type, object, test), key };
  }
  if (/^(?:charge|refund)\./.test(type) && object !== undefined)
    return { ...charge(type, object, test), key };
  return { ...anyNotice(payload, `Stripe: ${sentence(type) || 'event'}`), key };
};

/** By an event type's last word or words; what stands in no list is neutral. */
const TONES = {
  good: ['paid', 'payment_succeeded', 'succeeded', 'captured', 'funds_reinstated'],
  bad: [
    'payment_failed',
    'failed',
    'marked_uncollectible',
    'finalization_failed',
    'dispute.created',
    'funds_withdrawn',
  ],
  warning: ['payment_action_required', 'overdue', 'voided', 'refunded', 'expired', 'dispute.updated'],
} as const;

function toneOf(type: string, status: string | null): Notice['tone'] {
  if (type === 'charge.dispute.closed') return status === 'lost' ? 'bad' : 'good';
  for (const [tone, endings] of Object.entries(TONES)) {
    if (endings.some((ending) => type.endsWith(`.${ending}`))) return tone as keyof typeof TONES;
  }
  return 'neutral';
}

function invoice(type: string, object: unknown, test: string | null): Notice {
  const id = text(object, 'id');
  const name = `Invoice ${text(object, 'number') ?? id ?? 'without a number'}`;
  const what = sentence(type.slice('invoice.'.length));
  const total = amount(object, 'total') ?? amount(object, 'amount_due');
  const next = time(object, 'next_payment_attempt');
  return {
    subject: join(', ', [`[${what}] ${name}`, total]) ?? name,
    title: `${name}: ${what.toLowerCase()}`,
    tone: toneOf(type, text(object, 'status')),
    sections: section(
      null,
      null,
      facts([
        ['Total', total],
        ['Paid', amount(object, 'amount_paid')],
        ['Remaining', amount(object, 'amount_remaining')],
        ['Customer', text(object, 'customer_name') ?? text(object, 'customer')],
        ['E-mail', text(object, 'customer_email')],
        ['Status', text(object, 'status')],
        ['Attempts', text(object, 'attempt_count')],
        ['Next attempt', next],
        ['Mode', test],
      ]),
    ),
    link: link('View the invoice', text(object, 'hosted_invoice_url')),
    thread: id === null ? null : `stripe:${id}`,
    key: null,
  };
}

/** The event's object is the charge, or a dispute or refund that names its charge. */
function charge(type: string, object: unknown, test: string | null): Notice {
  const id = text(object, 'charge') ?? text(object, 'charge.id') ?? text(object, 'id');
  const refunded = number(object, 'amount_refunded') ?? 0;
  const isPart = type === 'charge.refunded' && refunded < (number(object, 'amount') ?? 0);
  // A refund is tried and may fail after its charge was refunded.
  const isFailed = /refund\./.test(type) && text(object, 'status') === 'failed';
  const what = isFailed
    ? 'Refund failed'
    : isPart
      ? 'Partly refunded'
      : sentence(type.replace(/^charge\./, ''));
  const sum = amount(object, 'amount');
  const name = `Charge ${text(object, 'description') ?? id ?? 'without an id'}`;
  const brand = text(object, 'payment_method_details.card.brand');
  const last4 = text(object, 'payment_method_details.card.last4');
  return {
    subject: join(', ', [`[${what}] ${name}`, isPart ? amount(object, 'amount_refunded') : sum]) ?? name,
    title: `${name}: ${what.toLowerCase()}`,
    tone: isFailed ? 'bad' : toneOf(type, text(object, 'status')),
    sections: section(
      null,
      text(object, 'failure_message') ?? text(object, 'outcome.seller_message'),
      facts([
        ['Amount', sum],
        ['Refunded', refunded === 0 ? null : amount(object, 'amount_refunded')],
        ['Customer', text(object, 'billing_details.name') ?? text(object, 'customer')],
        ['E-mail', text(object, 'billing_details.email') ?? text(object, 'receipt_email')],
        ['Card', brand === null || last4 === null ? null : `${sentence(brand)} •••• ${last4}`],
        ['Failure', text(object, 'failure_code') ?? text(object, 'failure_reason')],
        ['Reason', text(object, 'reason')],
        ['Status', text(object, 'status')],
        ['Answer until', time(object, 'evidence_details.due_by')],
        ['Charge', id],
        ['Mode', test],
      ]),
    ),
    link: link('View the receipt', text(object, 'receipt_url')),
    thread: id === null ? null : `stripe:${id}`,
    key: null,
  };
}

/** https://docs.stripe.com/currencies: ISK and UGX have no decimals, but are given in hundredths all the same. */
const ZERO_DECIMALS = 'bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf'.split(' ');
const THREE_DECIMALS = 'bhd jod kwd omr tnd'.split(' ');

/** An amount in the currency's smallest unit as `1,234.56 EUR`. */
function amount(object: unknown, path: string): string | null {
  const units = number(object, path);
  const currency = text(object, 'currency')?.toLowerCase() ?? null;
  if (units === null || currency === null) return null;
  const digits = ZERO_DECIMALS.includes(currency) ? 0 : THREE_DECIMALS.includes(currency) ? 3 : 2;
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${(units / 10 ** digits).toLocaleString('en-US', format)} ${currency.toUpperCase()}`;
}
