import { RollcallError } from '../../errors.js';
import type { ClusterNode } from '../../fleet/types.js';
import type { RolloutPlan, RolloutView } from '../../rollout/types.js';
import { parseFields, readFields } from './fields.js';
import { followRollout } from '../client/follow.js';
import { operationNames } from './names.js';
import type { Context } from '../context.js';
import { anyText, fleetText, historyText, planText, rolloutText, workersText } from '../output/render.js';
import { type Connection, connect } from '../client/connect.js';
import { clean, writeMessage, writeResult } from '../output/terminal.js';
import { nearWords } from '../output/format.js';
import type { WorkerRow } from '../../workers/types.js';

interface Typed {
	name: string;
	fields: string[];
	/** The names of the commands, to tell a mistyped one. */
	commands: readonly string[];
}

/** `rollcall <operation> key=value …`: sends it, shows the answer, and follows the rollout that it starts. */
export async function operation(
	{ options, terminal, session }: Context<{ detach?: boolean; fields?: string }>,
	{ name, fields: words, commands }: Typed,
): Promise<number> {
	refuseMistyped(name, commands);
	const typed = parseFields(words);
	const fields = options.fields === undefined ? typed : { ...readFields(options.fields), ...typed };
	const connection = await connect(options, session.signal);
	try {
		const answer = await ask(connection, name, fields, terminal.json);
		const job = rolloutToFollow(name, answer);
		if (job === null) {
			writeResult(terminal, answer, () => answerText(name, answer));
			return 0;
		}
		if (options.detach === true) {
			writeResult(
				terminal,
				answer,
				() => `${clean(String((answer as { message?: unknown }).message))}\nrollout ${job}`,
			);
			writeMessage(terminal, `Follow it: rollcall rollout follow ${job}${connection.words}`);
			return 0;
		}
		return await followRollout(connection, job, terminal, session.signal);
	} finally {
		connection.client.close();
	}
}

/** A word that this program does not know is for the daemon to judge; where none answers it is a mistake of usage. */
async function ask(
	{ client }: Connection,
	name: string,
	fields: Record<string, unknown>,
	asJson: boolean,
): Promise<unknown> {
	try {
		return await client.operation(name, fields);
	} catch (error) {
		if (error instanceof RollcallError && error.code === 'invalid' && !asJson) throw withAdvice(error, name);
		const isUnreachable = error instanceof RollcallError && error.code === 'unreachable';
		if (!isUnreachable || operationNames.includes(name)) throw error;
		const text = `There is no command or operation '${name}' here, and no daemon answers at ${client.where} that might know it. rollcall --help lists what there is.`;
		throw new RollcallError('usage', text, {}, { cause: error });
	}
}

/** What the daemon says of a fault is fixed; a person is told where the right words stand as well. */
function withAdvice(error: RollcallError, name: string): RollcallError {
	const help = operationNames.includes(name) ? `rollcall ${name} --help` : 'rollcall --help';
	const text = `${error.message}\nWhat it takes: ${help}`;
	return new RollcallError(error.code, text, error.extra, { cause: error });
}

/** A word that nothing is called, yet almost: better to ask than to send it. Words that are near to nothing go to the daemon. */
function refuseMistyped(name: string, commands: readonly string[]): void {
	if (operationNames.includes(name)) return;
	const near = nearWords(name, [...commands, ...operationNames]);
	if (near.length === 0 && /^[\w-]+$/.test(name)) return;
	const hint = near.length === 0 ? 'rollcall --help lists what there is.' : `Did you mean ${near.join(', or ')}?`;
	throw new RollcallError('usage', `There is no command or operation '${name}'. ${hint}`);
}

/** The rollout that the answer names, when the operation is one that goes on after its answer. */
function rolloutToFollow(name: string, answer: unknown): string | null {
	if (name !== 'restart' && name !== 'restart_service') return null;
	const job = (answer as { job_id?: unknown } | null)?.job_id;
	return typeof job === 'string' ? job : null;
}

function answerText(name: string, answer: unknown): string {
	const now = Date.now();
	switch (name) {
		case 'restart_service':
			return isPlan(answer) ? planText(answer) : anyText(answer);
		case 'cluster_status':
			return clusterText(answer as ClusterAnswer, now);
		case 'list_workers':
			return workersText(answer as WorkerRow[], now);
		case 'list_rollouts':
			return historyText(answer as RolloutView[], now);
		case 'get_rollout':
		case 'pause_rollout':
		case 'resume_rollout':
		case 'abort_rollout':
			return rolloutText(answer as RolloutView, now);
		default:
			return anyText(answer);
	}
}

interface ClusterAnswer {
	coordinator: string | null;
	nodes: ClusterNode[];
}

const clusterText = ({ nodes, coordinator }: ClusterAnswer, now: number): string => fleetText(nodes, coordinator, now);

function isPlan(answer: unknown): answer is RolloutPlan {
	return typeof answer === 'object' && answer !== null && 'steps' in answer && 'order' in answer;
}
