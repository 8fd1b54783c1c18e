/** What the control plane asks a worker host to run, and what it believes of the answer. */
import { lineText } from '../host/revision-text.js';

/** A command about one worker, or a rollout's hook, run as the user of the host. */
export interface CommandQuestion {
	command: readonly string[];
	cwd: string;
	env: Readonly<Record<string, string>>;
	/** From its start; then it is killed with all that it has started. */
	timeoutMs: number;
	/** So many of the last lines that it prints are told; left out: one. An earlier host always tells one. */
	lines?: number;
}

/** Most last lines that are told of a command. */
export const commandLinesMax = 8;

export interface CommandAnswer {
	/** null: it did not exit by itself. */
	code: number | null;
	/** How it ended, in words that follow the command's name. */
	detail: string;
}

const detailCharactersMax = 400;
/** Where several lines were asked for. */
const linesCharactersMax = 2_000;

export function isCommandQuestion(request: unknown): request is CommandQuestion {
	if (typeof request !== 'object' || request === null) return false;
	const { command, cwd, env, timeoutMs } = request as Partial<Record<string, unknown>>;
	const isCommand = Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === 'string');
	return isCommand && typeof cwd === 'string' && typeof env === 'object' && env !== null && Number(timeoutMs) > 0;
}

/** null: the host did not understand the question, being of an earlier version. */
export function readCommandAnswer(answer: unknown, lines = 1): CommandAnswer | null {
	const { code, detail } = ((answer ?? {}) as { ran?: Partial<Record<string, unknown>> }).ran ?? {};
	if (typeof detail !== 'string') return null;
	const charactersMax = lines > 1 ? linesCharactersMax : detailCharactersMax;
	return { code: typeof code === 'number' ? code : null, detail: lineText(detail, charactersMax) ?? '' };
}
