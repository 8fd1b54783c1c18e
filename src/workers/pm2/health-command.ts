/** What the control plane asks a worker host to run, and what it believes of the answer. */
import { lineText } from '../host/revision-text.js';

/** A command about one worker, run as the user of the host. */
export interface CommandQuestion {
	command: readonly string[];
	cwd: string;
	env: Readonly<Record<string, string>>;
	/** From its start; then it is killed with all that it has started. */
	timeoutMs: number;
}

export interface CommandAnswer {
	/** null: it did not exit by itself. */
	code: number | null;
	/** How it ended, in words that follow the command's name. */
	detail: string;
}

const detailCharactersMax = 400;

export function isCommandQuestion(request: unknown): request is CommandQuestion {
	if (typeof request !== 'object' || request === null) return false;
	const { command, cwd, env, timeoutMs } = request as Partial<Record<string, unknown>>;
	const isCommand = Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === 'string');
	return isCommand && typeof cwd === 'string' && typeof env === 'object' && env !== null && Number(timeoutMs) > 0;
}

/** null: the host did not understand the question, being of an earlier version. */
export function readCommandAnswer(answer: unknown): CommandAnswer | null {
	const { code, detail } = ((answer ?? {}) as { ran?: Partial<Record<string, unknown>> }).ran ?? {};
	if (typeof detail !== 'string') return null;
	return { code: typeof code === 'number' ? code : null, detail: lineText(detail, detailCharactersMax) ?? '' };
}
