/** GitHub's webhooks: https://docs.github.com/webhooks/webhook-events-and-payloads */

import { at, list, text } from '../json-read.ts';
import type { HookEvent, Notice, Preset } from '../notice.ts';
import { commitsOf, facts, firstLine, join, link, section, sentence } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

export const github: Preset = (event) => {
  const name = event.headers['x-github-event'] ?? '';
  if (name === 'ping') return null;
  const read = Object.hasOwn(EVENTS, name) ? EVENTS[name] : undefined;
  const notice = read?.(event.payload);
  return notice === undefined ? other(name, event) : notice;
};

/** Undefined: not the shape that this event has. */
type Read = (payload: unknown) => Notice | null | undefined;

const EVENTS: Readonly<Record<string, Read>> = {
  push,
  pull_request: pullRequest,
  issues,
  workflow_run: workflowRun,
  release,
};

/** The actions that a reader waits for; labels, assignments and new commits are left out. */
const ACTIONS = new Set(['opened', 'closed', 'reopened', 'ready_for_review']);

const repositoryOf = (payload: unknown): string => text(payload, 'repository.full_name') ?? 'GitHub';

/** Like runs: only those that failed. */
const CHECKS = new Set(['check_run', 'check_suite', 'status', 'workflow_job']);

function other(name: string, { payload }: HookEvent): Notice | null {
  const result = text(payload, `${name}.conclusion`) ?? text(payload, 'state');
  if (CHECKS.has(name) && !FAILED.has(result ?? '')) return null;
  const what = join(' ', [sentence(name) || 'Event', text(payload, 'action'), result]);
  const notice = anyNotice(payload, `[${repositoryOf(payload)}] ${what}`);
  const said = at(payload, 'comment') ?? at(payload, 'review');
  return {
    ...notice,
    sections: [...section(null, text(said, 'body')), ...notice.sections],
    link: link('View on GitHub', text(said, 'html_url')),
  };
}

function push(payload: unknown): Notice | undefined {
  const ref = text(payload, 'ref');
  if (ref === null) return undefined;
  const repository = repositoryOf(payload);
  const branch = ref.replace(/^refs\/(?:heads|tags)\//, '');
  const kind = ref.startsWith('refs/tags/') ? 'tag' : 'branch';
  const who = text(payload, 'pusher.name') ?? text(payload, 'sender.login') ?? 'Somebody';
  const commits = list(payload, 'commits');
  const count = `${commits.length} commit${commits.length === 1 ? '' : 's'}`;
  const isDeleted = at(payload, 'deleted') === true;
  const page = text(payload, 'repository.html_url');
  const isForced = at(payload, 'forced') === true;
  const what = isDeleted
    ? `deleted ${kind} ${branch}`
    : commits.length === 0
      ? `${at(payload, 'created') === true ? 'created' : 'moved'} ${kind} ${branch}`
      : `${isForced ? 'force-pushed' : 'pushed'} ${count} to ${branch}`;
  return {
    subject: `[${repository}] ${who} ${what}`,
    title: `${who} ${what}`,
    tone: isForced || isDeleted ? 'warning' : 'neutral',
    sections: [...section(null, null, facts([['Repository', repository, page]])), ...commitsOf(payload)],
    link: isDeleted ? link('Open the repository', page) : link('View the changes', text(payload, 'compare')),
    thread: null,
    key: null,
  };
}

function pullRequest(payload: unknown): Notice | null | undefined {
  const action = text(payload, 'action');
  const number = text(payload, 'pull_request.number') ?? text(payload, 'number');
  if (number === null || action === null) return undefined;
  if (!ACTIONS.has(action)) return null;
  const isMerged = at(payload, 'pull_request.merged') === true;
  const done = action === 'closed' && isMerged ? 'merged' : sentence(action).toLowerCase();
  const repository = repositoryOf(payload);
  const title = text(payload, 'pull_request.title') ?? 'Pull request';
  const head = text(payload, 'pull_request.head.ref');
  const base = text(payload, 'pull_request.base.ref');
  return {
    subject: `[${repository}] ${title} (PR #${number})`,
    title: `Pull request #${number} ${done}: ${title}`,
    tone: done === 'merged' ? 'good' : done === 'closed' ? 'warning' : 'neutral',
    sections: section(
      null,
      action === 'opened' ? text(payload, 'pull_request.body') : null,
      facts([
        ['Repository', repository, text(payload, 'repository.html_url')],
        ['By', text(payload, 'sender.login'), text(payload, 'sender.html_url')],
        ['Branches', head === null || base === null ? null : `${head} → ${base}`],
        ['Commits', text(payload, 'pull_request.commits')],
        ['Changed files', text(payload, 'pull_request.changed_files')],
      ]),
    ),
    link: link('View the pull request', text(payload, 'pull_request.html_url')),
    thread: `github:${repository}/pull/${number}`,
    key: null,
  };
}

function issues(payload: unknown): Notice | null | undefined {
  const action = text(payload, 'action');
  const number = text(payload, 'issue.number');
  if (number === null || action === null) return undefined;
  if (!ACTIONS.has(action)) return null;
  const repository = repositoryOf(payload);
  const title = text(payload, 'issue.title') ?? 'Issue';
  const labels = list(payload, 'issue.labels').flatMap((label) => text(label, 'name') ?? []);
  return {
    subject: `[${repository}] ${title} (#${number})`,
    title: `Issue #${number} ${action}: ${title}`,
    tone: action === 'closed' ? 'good' : action === 'reopened' ? 'warning' : 'neutral',
    sections: section(
      null,
      action === 'opened' ? text(payload, 'issue.body') : null,
      facts([
        ['Repository', repository, text(payload, 'repository.html_url')],
        ['By', text(payload, 'sender.login'), text(payload, 'sender.html_url')],
        ['Labels', labels.join(', ') || null],
      ]),
    ),
    link: link('View the issue', text(payload, 'issue.html_url')),
    thread: `github:${repository}/issues/${number}`,
    key: null,
  };
}

const FAILED = new Set(['failure', 'error', 'timed_out', 'startup_failure']);

function workflowRun(payload: unknown): Notice | null | undefined {
  const action = text(payload, 'action');
  if (action === null) return undefined;
  const conclusion = text(payload, 'workflow_run.conclusion');
  if (action !== 'completed' || conclusion === null || !FAILED.has(conclusion)) return null;
  const repository = repositoryOf(payload);
  const workflow = text(payload, 'workflow_run.name') ?? 'Workflow';
  const branch = text(payload, 'workflow_run.head_branch');
  const on = branch === null ? '' : ` on ${branch}`;
  const message = text(payload, 'workflow_run.head_commit.message');
  return {
    subject: `[${repository}] ${workflow} failed${on}`,
    title: `${workflow} failed${on}`,
    tone: 'bad',
    sections: section(
      null,
      null,
      facts([
        ['Repository', repository, text(payload, 'repository.html_url')],
        ['Run', text(payload, 'workflow_run.run_number')],
        ['Result', sentence(conclusion)],
        ['Trigger', text(payload, 'workflow_run.event')],
        ['Commit', (text(payload, 'workflow_run.head_sha') ?? '').slice(0, 7) || null],
        ['Message', message === null ? null : firstLine(message)],
        ['By', text(payload, 'workflow_run.actor.login')],
      ]),
    ),
    link: link('View the run', text(payload, 'workflow_run.html_url')),
    thread: `github:${repository}/workflow/${text(payload, 'workflow_run.workflow_id') ?? workflow}/${branch ?? ''}`,
    key: null,
  };
}

function release(payload: unknown): Notice | null | undefined {
  const action = text(payload, 'action');
  const tag = text(payload, 'release.tag_name');
  if (action === null || tag === null) return undefined;
  // GitHub sends `created` and `released` beside it.
  if (action !== 'published') return null;
  const repository = repositoryOf(payload);
  const name = text(payload, 'release.name') ?? tag;
  return {
    subject: `[${repository}] Release ${name}`,
    title: `${repository} released ${name}`,
    tone: 'good',
    sections: section(
      null,
      text(payload, 'release.body'),
      facts([
        ['Repository', repository, text(payload, 'repository.html_url')],
        ['Tag', tag],
        ['By', text(payload, 'release.author.login')],
        ['Pre-release', at(payload, 'release.prerelease') === true ? 'yes' : null],
      ]),
    ),
    link: link('View the release', text(payload, 'release.html_url')),
    thread: `github:${repository}/releases/${tag}`,
    key: null,
  };
}
