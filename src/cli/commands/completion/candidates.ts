import type { Command, Option } from 'commander';
import { operationsByName } from '../../../operations/table.js';
import { topics } from '../help.js';
import { operationNames } from '../../operation/names.js';

/** A word that may stand at the cursor, and what it means. */
export interface Candidate {
	word: string;
	meaning: string;
}

/** What only the daemon knows; each asks it once, and answers nothing where it does not answer. */
export interface Known {
	apps(): Promise<readonly string[]>;
	nodes(): Promise<readonly string[]>;
	zones(): Promise<readonly string[]>;
	rollouts(): Promise<readonly Candidate[]>;
}

/** Candidates, or that the shell completes a path. */
export type Completion = readonly Candidate[] | 'files' | 'folders';

const onFailure = ['halt', 'continue', 'revert'];

/** What may stand at the cursor: in the place of the last word, which may be empty. */
export async function complete(program: Command, words: readonly string[], known: Known): Promise<Completion> {
	const current = words.at(-1) ?? '';
	const { command, operands, waiting } = walk(program, words.slice(0, -1));
	if (waiting !== null) return beginningWith(current, await valuesOf(waiting, known));
	if (current.startsWith('-')) return beginningWith(current, optionsOf(command, program));
	if (command === program) return beginningWith(current, commandsOf(program));
	if (command.commands.length > 0 && operands.length === 0) return beginningWith(current, commandsOf(command));
	return beginningWith(current, await operandsOf(command, operands, current, known));
}

const plain = (words: readonly string[], meaning = ''): Candidate[] => words.map((word) => ({ word, meaning }));

const beginningWith = (current: string, found: Completion): Completion =>
	typeof found === 'string' ? found : found.filter(({ word }) => word.startsWith(current));

interface Place {
	/** The deepest command that the words name; the program itself, where they name none yet. */
	command: Command;
	/** Its operands so far. */
	operands: string[];
	/** An option whose value stands at the cursor. */
	waiting: Option | null;
}

function walk(program: Command, before: readonly string[]): Place {
	const place: Place = { command: program, operands: [], waiting: null };
	for (const word of before) {
		if (place.waiting !== null) place.waiting = null;
		else if (word.startsWith('-'))
			place.waiting = word.includes('=') ? null : optionWithValue(place.command, program, word);
		else step(place, program, word);
	}
	return place;
}

function step(place: Place, program: Command, word: string): void {
	const below = place.operands.length === 0 ? place.command.commands.find((one) => one.name() === word) : undefined;
	if (below !== undefined) place.command = below;
	else if (place.command === program) {
		// Any other first word is an operation.
		const operation = program.commands.find((one) => one.name() === 'operation');
		if (operation !== undefined) place.command = operation;
		place.operands.push(word);
	} else place.operands.push(word);
}

function optionWithValue(command: Command, program: Command, word: string): Option | null {
	const option = [...command.options, ...program.options].find((one) => one.long === word || one.short === word);
	return option !== undefined && (option.required || option.optional) ? option : null;
}

const optionsOf = (command: Command, program: Command): Candidate[] =>
	[...command.options, ...(command === program ? [] : program.options)].flatMap(({ long, description }) =>
		long === undefined || long === null ? [] : [{ word: long, meaning: description }],
	);

function commandsOf(command: Command): Candidate[] {
	const below = command.commands.map((one) => ({ word: one.name(), meaning: one.summary() }));
	if (command.parent !== null) return below;
	return [...below, ...operationCandidates(), { word: 'help', meaning: 'the manual, or the help of one command' }];
}

/** What `rollcall help` takes: topics of the manual first. */
const helpCandidates = ({ parent }: Command): Candidate[] => [
	...plain(topics(), 'page of the manual'),
	...(parent === null ? [] : commandsOf(parent)),
];

const operationCandidates = (): Candidate[] =>
	operationNames.map((name) => ({ word: name, meaning: operationsByName.get(name)?.summary ?? '' }));

/** By what the option's value is called in its help. */
async function valuesOf({ long, flags }: Option, known: Known): Promise<Completion> {
	if (long === '--on-failure') return plain(onFailure);
	if (long === '--skip' || long === '--node') return plain(await known.nodes(), 'node');
	if (long === '--zone' && flags.endsWith('<zone>')) return plain(await known.zones(), 'zone');
	if (long === '--interpreter' || long === '--app') return 'files';
	const [, value = ''] = /<([\w:=-]+)>/.exec(flags) ?? [];
	if (value === 'folder') return 'folders';
	return value === 'file' || value === 'path' ? 'files' : [];
}

async function operandsOf(command: Command, operands: string[], current: string, known: Known): Promise<Completion> {
	const words = [command.name()];
	for (let at = command.parent; at !== null && at.parent !== null; at = at.parent) words.unshift(at.name());
	const path = words.join(' ');
	if (path === 'operation' && operands[0] === 'help') return operands.length === 1 ? helpCandidates(command) : [];
	if (path === 'operation') return await fieldsOf(operands, current, known);
	if (path === 'rollout plan' && /^(?:service|replicated)=/.test(current))
		return await fieldsOf(['restart_service'], current, known);
	if (path === 'rollout plan' && /^[a-z_]+=/.test(current)) return await fieldsOf(['start_rollout'], current, known);
	if (operands.length > 0) return [];
	const [first] = command.registeredArguments.map((argument) => argument.name());
	if (first === 'app' || first === 'apps') return plain(await known.apps(), 'app');
	if (first === 'node') return plain(await known.nodes(), 'node');
	if (first === 'id' && words[0] === 'rollout') return await known.rollouts();
	if (path === 'completion') return plain(['bash', 'zsh', 'fish']);
	return [];
}

/** `key=` for each field that is not there yet; behind it the values that it can have. */
async function fieldsOf([name, ...given]: string[], current: string, known: Known): Promise<Completion> {
	if (name === undefined) return operationCandidates();
	const fields = Object.entries(operationsByName.get(name)?.fields ?? {});
	const [, key] = /^([a-z_]+)=/.exec(current) ?? [];
	if (key === undefined) {
		return fields
			.filter(([field]) => !given.some((word) => word.startsWith(`${field}=`)))
			.map(([field, { summary }]) => ({ word: `${field}=`, meaning: summary }));
	}
	const field = fields.find(([one]) => one === key)?.[1];
	const values = await fieldValues(name, key, field?.schema ?? {}, known);
	return values.map(({ word, meaning }) => ({ word: `${key}=${word}`, meaning }));
}

async function fieldValues(
	operation: string,
	key: string,
	schema: Readonly<Record<string, unknown>>,
	known: Known,
): Promise<readonly Candidate[]> {
	if (key === 'app') return plain(await known.apps(), 'app');
	if (key === 'node') return plain(await known.nodes(), 'node');
	if (key === 'zone') return plain(await known.zones(), 'zone');
	if (key === 'id' && /_(?:rollout|job)$/.test(operation)) return await known.rollouts();
	const { enum: values, type } = schema as { enum?: unknown[]; type?: unknown };
	if (values !== undefined) return plain(values.filter((value) => typeof value === 'string'));
	return type === 'boolean' ? plain(['true', 'false']) : [];
}
