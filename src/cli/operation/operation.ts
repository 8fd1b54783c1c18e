import { RollcallError } from '../../errors.js';
import type { ClusterNode } from '../../fleet/types.js';
import type { RolloutPlan, RolloutView } from '../../rollout/types.js';
import { parseFields, readFields } from './fields.js';
import { fullId } from '../client/rollout-id.js';
import { inFlags } from '../client/rollout-request.js';
import { startRollout } from '../client/start-rollout.js';
import { followRollout } from '../client/follow.js';
import { operationNames } from './names.js';
import type { Context } from '../context.js';
import { anyText, fleetText, historyText, planText, rolloutText, workersText } from '../output/render.js';
import { type Connection, connect } from '../client/connect.js';
import { clean, type Page, writeMessage, writeResult } from '../output/terminal.js';
import { refuseMistyped, unknownWord } from './mistyped.js';
import type { WorkerRow } from '../../workers/types.js';

/** Operations whose `id` is a rollout's. */
const takesRollout: readonly string[] = [
	'get_job',
	'get_rollout',
	'undo_rollout',
	'pause_rollout',
	'resume_rollout',
	'abort_rollout',
];

interface Typed {
	name: string;
	fields: string[];
	/** The names of the commands, to tell a mistyped one. */
	commands: readonly string[];
	/** The command that was typed, if it was no operation. */
	command?: string;
}

/** `rollcall <operation> key=value …`: sends it, shows the answer, and follows the rollout that it starts. */
export async function operation(
	{ options, terminal, session }: Context<{ detach?: boolean; fields?: string }>,
	{ name, fields: words, commands, command }: Typed,
): Promise<number> {
	refuseMistyped(name, commands);
	const typed = await typedFields(name, words);
	const fields = options.fields === undefined ? typed : { ...readFields(options.fields), ...typed };
	const connection = await connect(options, session.signal);
	try {
		if (takesRollout.includes(name) && typeof fields['id'] === 'string') {
			fields['id'] = await fullId(connection.client, fields['id']);
		}
		const answer = await ask(connection, { name, fields, command }, terminal.json).catch((error: unknown) => {
			if (session.signal.aborted && mayHaveBegun(name, fields)) {
				const text = `\nInterrupted before the answer: the rollout may have begun. See: rollcall rollout status${connection.words}`;
				writeMessage(terminal, text);
			}
			throw error;
		});
		const job = rolloutToFollow(name, answer);
		if (job === null) {
			writeResult(terminal, answer, (page) => answerText(name, answer, page));
			return 0;
		}
		if (options.detach === true) {
			writeResult(terminal, answer, () => `${startedText(name, answer)}\nrollout ${job}`);
			writeMessage(terminal, `Follow it: rollcall rollout follow ${job}${connection.words}`);
			return 0;
		}
		return await followRollout(connection, job, terminal, session.signal, 'hold');
	} finally {
		connection.client.close();
	}
}

/** A word that this program does not know is for the daemon to judge; where none answers it is a mistake of usage. */
async function ask(
	{ client }: Connection,
	{ name, fields, command }: { name: string; fields: Record<string, unknown>; command: string | undefined },
	asJson: boolean,
): Promise<unknown> {
	try {
		return await (name === 'start_rollout' ? startRollout(client, fields) : client.operation(name, fields));
	} catch (error) {
		if (!(error instanceof RollcallError)) throw error;
		const isKnown = operationNames.includes(name);
		if (!isKnown && error.code === 'unreachable') {
			const daemon = `no daemon answers at ${client.where} that might know it`;
			throw unknownWord(name, [], { here: `here, and ${daemon}`, cause: error });
		}
		if (!isKnown && error.message === `Operation '${name}' not found`) {
			throw unknownWord(name, [], { here: `here or at ${client.where}`, cause: error });
		}
		if (error.code !== 'invalid' || asJson) throw error;
		const { adviceOn } = await import('./advice.js');
		const message = command === undefined ? error.message : inFlags(error.message);
		const advice = adviceOn(name, fields, command);
		throw new RollcallError(error.code, `${message}\n${advice}`, error.extra, { cause: error });
	}
}

/** Suggests the field that an unknown word probably means for this operation. */
async function typedFields(name: string, words: readonly string[]): Promise<Record<string, unknown>> {
	const bare = words.find((word) => /^[\w.-]+$/.test(word));
	if (bare !== undefined) {
		const { adviceOnWord } = await import('./advice.js');
		throw new RollcallError('usage', adviceOnWord(name, bare));
	}
	refuseSecrets(name, words);
	return parseFields(words);
}

/** Every user of a host can read a command line. */
function refuseSecrets(name: string, words: readonly string[]): void {
	if (!words.some((word) => word.startsWith('password='))) return;
	const instead: Readonly<Record<string, string>> = {
		add_user: 'rollcall user add NAME --role ROLE, which asks for it',
		alter_user: 'rollcall user password NAME, which asks for it',
	};
	throw new RollcallError(
		'usage',
		`A password must not stand on a command line, which everyone on the host can read. Use ${instead[name] ?? '--fields FILE, or --fields - for standard input'}.`,
	);
}

/** The text of a restart is the API's, where it is fixed; here a restart is called by what it restarts. */
function startedText(name: string, answer: unknown): string {
	if (name === 'restart') {
		return 'Restarting this instance of Rollcall, its workers included. Its state: rollcall status';
	}
	return clean(String((answer as { message?: unknown }).message));
}

/** Whether a request of which no answer came may have started a rollout. */
function mayHaveBegun(name: string, fields: Record<string, unknown>): boolean {
	return startsRollout(name) && fields['dry_run'] !== true;
}

const startsRollout = (name: string): boolean =>
	['restart', 'restart_service', 'start_rollout', 'undo_rollout'].includes(name);

/** The rollout that the answer names, when the operation only starts one. */
function rolloutToFollow(name: string, answer: unknown): string | null {
	if (!startsRollout(name)) return null;
	const job = (answer as { job_id?: unknown } | null)?.job_id;
	return typeof job === 'string' ? job : null;
}

function answerText(name: string, answer: unknown, page: Page): string {
	const now = Date.now();
	switch (name) {
		case 'restart_service':
		case 'start_rollout':
		case 'undo_rollout':
			return isPlan(answer) ? planText(answer) : anyText(answer, page);
		case 'restart':
			return startedText(name, answer);
		case 'cluster_status':
			return clusterText(answer as ClusterAnswer, now, page);
		case 'list_workers':
			return workersText(answer as WorkerRow[], now, page);
		case 'list_rollouts':
			return historyText(answer as RolloutView[], now, page);
		case 'get_rollout':
		case 'pause_rollout':
		case 'resume_rollout':
		case 'abort_rollout':
			return rolloutText(answer as RolloutView, now, page);
		default:
			return anyText(answer, page);
	}
}

interface ClusterAnswer {
	coordinator: string | null;
	nodes: ClusterNode[];
}

const clusterText = ({ nodes, coordinator }: ClusterAnswer, now: number, page: Page): string =>
	fleetText(nodes, coordinator, now, page);

function isPlan(answer: unknown): answer is RolloutPlan {
	return typeof answer === 'object' && answer !== null && 'steps' in answer && 'order' in answer;
}
