/** GitLab's webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/ */

import { at, list, text } from '../json-read.ts';
import type { Notice, Preset } from '../notice.ts';
import { commitsOf, facts, join, link, section, sentence } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const gitlab: Preset = ({ payload }) => {
  const kind = text(payload, 'object_kind') ?? text(payload, 'event_name') ?? '';
  const read = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  const notice = read?.(payload);
  return notice === undefined ? other(payload, kind) : notice;
};

/** Undefined: not the shape that this kind has. */
type Read = (payload: unknown) => Notice | null | undefined;

const KINDS: Readonly<Record<string, Read>> = {
  push,
  tag_push: push,
  merge_request: mergeRequest,
  issue,
  pipeline,
  // A job that failed is always shown.
  build: (payload) => (text(payload, 'build_status') === 'failed' ? undefined : null),
  release,
};

/** What an action has done; other actions (updates, approvals) are left out. */
const ACTIONS: Readonly<Record<string, string>> = {
  open: 'opened',
  close: 'closed',
  reopen: 'reopened',
  merge: 'merged',
};

const projectOf = (payload: unknown): string =>
  text(payload, 'project.path_with_namespace') ?? text(payload, 'project.name') ?? 'GitLab';

function other(payload: unknown, kind: string): Notice {
  const what = join(' ', [
    sentence(kind) || 'Event',
    text(payload, 'build_name'),
    text(payload, 'build_status'),
  ]);
  return anyNotice(payload, `[${projectOf(payload)}] ${what}`);
}

function push(payload: unknown): Notice | undefined {
  const ref = text(payload, 'ref');
  if (ref === null) return undefined;
  const project = projectOf(payload);
  const who = text(payload, 'user_name') ?? text(payload, 'user_username') ?? 'Somebody';
  const isTag = ref.startsWith('refs/tags/');
  const name = ref.replace(/^refs\/(?:heads|tags)\//, '');
  const isDeleted = /^0+$/.test(text(payload, 'after') ?? '');
  const isNew = /^0+$/.test(text(payload, 'before') ?? '');
  const commits = list(payload, 'commits');
  // `commits` has the newest 20 only.
  const total = text(payload, 'total_commits_count') ?? String(commits.length);
  const kind = isTag ? 'tag' : 'branch';
  const what = isDeleted
    ? `deleted ${kind} ${name}`
    : isTag || (isNew && commits.length === 0)
      ? `created ${kind} ${name}`
      : `pushed ${total} commit${total === '1' ? '' : 's'} to ${name}`;
  const page = text(payload, 'project.web_url');
  return {
    subject: `[${project}] ${who} ${what}`,
    title: `${who} ${what}`,
    tone: isDeleted ? 'warning' : 'neutral',
    sections: [...section(null, null, facts([['Project', project, page]])), ...commitsOf(payload)],
    link: link('Open the project', page),
    thread: null,
    key: null,
  };
}

function mergeRequest(payload: unknown): Notice | null | undefined {
  const number = text(payload, 'object_attributes.iid');
  if (number === null) return undefined;
  const done = doneBy(payload);
  if (done === null) return null;
  const project = projectOf(payload);
  const title = text(payload, 'object_attributes.title') ?? 'Merge request';
  const source = text(payload, 'object_attributes.source_branch');
  const target = text(payload, 'object_attributes.target_branch');
  return {
    subject: `[${project}] ${title} (!${number})`,
    title: `Merge request !${number} ${done}: ${title}`,
    tone: done === 'merged' ? 'good' : done === 'closed' ? 'warning' : 'neutral',
    sections: section(
      null,
      done === 'opened' ? text(payload, 'object_attributes.description') : null,
      facts([
        ['Project', project, text(payload, 'project.web_url')],
        ['By', text(payload, 'user.name')],
        ['Branches', source === null || target === null ? null : `${source} → ${target}`],
      ]),
    ),
    link: link('View the merge request', text(payload, 'object_attributes.url')),
    thread: `gitlab:${project}/merge_requests/${number}`,
    key: null,
  };
}

function issue(payload: unknown): Notice | null | undefined {
  const number = text(payload, 'object_attributes.iid');
  if (number === null) return undefined;
  const done = doneBy(payload);
  if (done === null) return null;
  const project = projectOf(payload);
  const title = text(payload, 'object_attributes.title') ?? 'Issue';
  const labels = list(payload, 'labels').flatMap((label) => text(label, 'title') ?? []);
  return {
    subject: `[${project}] ${title} (#${number})`,
    title: `Issue #${number} ${done}: ${title}`,
    tone: done === 'closed' ? 'good' : done === 'reopened' ? 'warning' : 'neutral',
    sections: section(
      null,
      done === 'opened' ? text(payload, 'object_attributes.description') : null,
      facts([
        ['Project', project, text(payload, 'project.web_url')],
        ['By', text(payload, 'user.name')],
        ['Labels', labels.join(', ') || null],
      ]),
    ),
    link: link('View the issue', text(payload, 'object_attributes.url')),
    thread: `gitlab:${project}/issues/${number}`,
    key: null,
  };
}

function doneBy(payload: unknown): string | null {
  return text(ACTIONS, text(payload, 'object_attributes.action') ?? '');
}

function pipeline(payload: unknown): Notice | null | undefined {
  const status = text(payload, 'object_attributes.status');
  if (status === null) return undefined;
  if (status !== 'failed') return null;
  const project = projectOf(payload);
  const ref = text(payload, 'object_attributes.ref');
  const on = ref === null ? '' : ` on ${ref}`;
  const failed = list(payload, 'builds')
    .filter((build) => text(build, 'status') === 'failed' && at(build, 'allow_failure') !== true)
    .flatMap((build) => text(build, 'name') ?? []);
  const seconds = text(payload, 'object_attributes.duration');
  return {
    subject: `[${project}] Pipeline failed${on}`,
    title: `Pipeline failed${on}`,
    tone: 'bad',
    sections: section(
      null,
      null,
      facts([
        ['Project', project, text(payload, 'project.web_url')],
        ['Failed jobs', failed.join(', ') || null],
        ['Commit', (text(payload, 'object_attributes.sha') ?? '').slice(0, 7) || null],
        ['Message', text(payload, 'commit.title')],
        ['By', text(payload, 'user.name')],
        ['Duration', seconds === null ? null : `${seconds} s`],
      ]),
    ),
    link: link('View the pipeline', text(payload, 'object_attributes.url')),
    thread: `gitlab:${project}/pipelines/${ref ?? ''}`,
    key: null,
  };
}

function release(payload: unknown): Notice | null | undefined {
  const tag = text(payload, 'tag');
  if (tag === null) return undefined;
  if (text(payload, 'action') !== 'create') return null;
  const project = projectOf(payload);
  const name = text(payload, 'name') ?? tag;
  return {
    subject: `[${project}] Release ${name}`,
    title: `${project} released ${name}`,
    tone: 'good',
    sections: section(
      null,
      text(payload, 'description'),
      facts([
        ['Project', project, text(payload, 'project.web_url')],
        ['Tag', tag],
        ['Released', text(payload, 'released_at')],
      ]),
    ),
    link: link('View the release', text(payload, 'url')),
    thread: `gitlab:${project}/releases/${tag}`,
    key: null,
  };
}
