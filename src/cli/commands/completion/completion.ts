import type { Command } from 'commander';
import { RollcallError } from '../../../errors.js';
import type { ClusterNode } from '../../../fleet/types.js';
import type { RolloutView } from '../../../rollout/types.js';
import type { WorkerRow } from '../../../workers/types.js';
import { connect, type CommonOptions } from '../../client/connect.js';
import type { Context } from '../../context.js';
import { clean, writeResult } from '../../output/terminal.js';
import { type Candidate, type Completion, complete, type Known } from './candidates.js';
import { completionScripts } from './scripts.js';

/** Someone waits with a finger on the key: what the daemon has not said by then is left out. */
const answerTimeoutMs = 1_000;
const rolloutsOffered = 20;
const candidatesMax = 500;
const meaningCharactersMax = 80;
/** Words without characters that are special to a shell; candidates with others are left out, since names come from the configuration. */
const harmless = /^[\w@%+=:,./-]{1,200}$/;

/** Prints the completion of a shell; with `words`, which those ask, what may stand at the cursor. Never fails at that. */
export async function completion(context: Context, program: Command, operands: string[]): Promise<number> {
	const [shell = '', ...words] = operands;
	if (shell === 'words') {
		const { signal } = context.session;
		const found = await complete(program, words, askedOnce(words, signal)).catch(() => []);
		context.terminal.out.write(linesOf(found));
		return 0;
	}
	const script = Object.hasOwn(completionScripts, shell) ? completionScripts[shell] : undefined;
	if (script === undefined || words.length > 0) {
		throw new RollcallError('usage', `rollcall completion takes ${Object.keys(completionScripts).join(', ')}.`);
	}
	writeResult(context.terminal, { script }, () => script);
	return 0;
}

function linesOf(found: Completion): string {
	if (typeof found === 'string') return `:${found}\n`;
	return found
		.filter(({ word }) => harmless.test(word))
		.slice(0, candidatesMax)
		.map(({ word, meaning }) => `${word}\t${clean(meaning).replaceAll('\t', ' ').slice(0, meaningCharactersMax)}\n`)
		.join('');
}

/** Asks the daemon that the words name, in a bounded time. */
function askedOnce(words: readonly string[], signal: AbortSignal): Known {
	const ask = async <Answer>(name: string, fields: Record<string, unknown> = {}): Promise<Answer | null> => {
		try {
			const options = { ...daemonOptions(words), timeout: `${answerTimeoutMs}ms` };
			const { client } = await connect(options, signal);
			try {
				return (await client.operation(name, fields)) as Answer;
			} finally {
				client.close();
			}
		} catch {
			return null;
		}
	};
	const fleet = async () => (await ask<{ nodes: ClusterNode[] }>('cluster_status'))?.nodes ?? [];
	return {
		apps: async () => [...new Set(((await ask<WorkerRow[]>('list_workers')) ?? []).map(({ app }) => app))],
		nodes: async () => (await fleet()).map(({ name }) => name),
		zones: async () => [...new Set((await fleet()).flatMap(({ zone }) => zone ?? []))],
		rollouts: async () =>
			((await ask<RolloutView[]>('list_rollouts', { limit: rolloutsOffered })) ?? []).map(rolloutCandidate),
	};
}

const rolloutCandidate = ({ id, state, app, service, user }: RolloutView): Candidate => ({
	word: id,
	meaning: `${state}: ${app ?? service ?? 'restart'}, by ${user}`,
});

/** The options that say which daemon is meant, as far as they are typed. */
function daemonOptions(words: readonly string[]): CommonOptions {
	const names = ['config', 'socket', 'url', 'ca', 'credentials'] as const;
	const options: CommonOptions = {};
	for (const name of names) {
		const at = words.indexOf(`--${name}`);
		const joined = words.find((word) => word.startsWith(`--${name}=`));
		const value = joined?.slice(name.length + 3) ?? (at < 0 ? undefined : words[at + 1]);
		if (value !== undefined && value !== '') options[name] = value;
	}
	return options;
}
