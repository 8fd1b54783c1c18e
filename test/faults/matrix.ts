/**
 * Every fault in every phase of a rollout, and of a bad release that the fleet puts back, on real daemons in networks of their own.
 *   npm run faults                  both matrices
 *   npm run faults -- --undo        that of the bad release alone
 *   npm run faults -- --one-each    one fault in each phase of a rollout
 *   npm run faults -- --phase proving --fault SIGKILL     those whose names hold these words
 */
import { readFlags, run, WrongFlag } from '../support/flags.js';
import { playEach } from '../support/play-each.js';
import { type Fault, faults } from './faults.js';
import { FaultFleet } from './fleet.js';
import type { Phase } from './phases.js';
import { roll } from './roll.js';
import { type Outcome, runScenario, settings, type Table } from './scenario.js';
import { undo } from './undo.js';

/** Part of the fault's name, for the run with one a phase: each kind of fault, where it hurts most. */
const oneEach: Record<string, string> = {
	asked: 'second operator',
	'lease held': "SIGKILL of the coordinator's daemon",
	'first grant': 'coordinator cut',
	'grant stored': 'target never',
	'workers starting': "SIGKILL of the target's daemon",
	proving: "target's worker host",
	joined: 'target does not reach',
	draining: "SIGSTOP of the coordinator's daemon",
	'evidence on its way': 'target cut',
	'between nodes': 'disk of the target',
	"coordinator's own step": 'clocks jump',
	ending: "SIGKILL of the coordinator's daemon",
};

interface Cell {
	table: Table;
	phase: Phase;
	fault: Fault;
}

function chosen(): Cell[] {
	const values = readFlags({
		'one-each': { type: 'boolean' },
		phase: { type: 'string' },
		fault: { type: 'string' },
		undo: { type: 'boolean' },
	});
	const cells = (values.undo ? [undo] : [roll, undo]).flatMap((table) =>
		table.phases.flatMap((phase) => faults.map((fault) => ({ table, phase, fault }))),
	);
	mustName(
		'phase',
		values.phase,
		cells.map(({ phase }) => phase),
	);
	mustName('fault', values.fault, faults);
	const isChosen = ({ phase, fault }: Cell): boolean => {
		if (values['one-each'] && !fault.name.includes(oneEach[phase.name] ?? 'none')) return false;
		return phase.name.includes(values.phase ?? '') && fault.name.includes(values.fault ?? '');
	};
	const all = cells.filter(isChosen);
	if (all.length === 0) throw new WrongFlag('--phase and --fault leave no scenario of those with --one-each');
	return all;
}

function mustName(flag: string, words: string | undefined, all: readonly { name: string }[]): void {
	if (words === undefined || all.some(({ name }) => name.includes(words))) return;
	throw new WrongFlag(`no ${flag} holds '${words}'; they are ${[...new Set(all.map(({ name }) => name))].join(', ')}`);
}

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const row = ({ phase, fault, broken, text, durationMs }: Outcome): string => {
	const verdict = broken.length === 0 ? 'held' : 'BROKEN';
	const seconds = (durationMs / 1000).toFixed(1);
	return `${phase.padEnd(23)} | ${fault.padEnd(46)} | ${verdict.padEnd(6)} | ${seconds.padStart(5)} s | ${[text, ...broken].join(' !! ')}`;
};

async function main(): Promise<number> {
	const cells = chosen();
	if (process.getuid?.() !== 0) {
		process.stderr.write(
			'faults: needs root, for networks, disks and signals of its own; run it as root. Nothing was run.\n',
		);
		return 1;
	}
	const played: number[] = [];
	let interrupted = false;
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
		process.once(signal, () => {
			interrupted = true;
		});
	for (const table of new Set(cells.map((cell) => cell.table))) {
		if (interrupted) break;
		const own = cells.filter((cell) => cell.table === table);
		write(`${own.length} scenarios; ${settings(table)}`);
		played.push(await playTable(table, own));
	}
	return Math.max(...played);
}

function playTable(table: Table, cells: readonly Cell[]): Promise<number> {
	// Those that need other clocks come last: they need a fleet that was started with such.
	const inOrder = [
		...cells.filter(({ fault }) => !fault.needsClocks),
		...cells.filter(({ fault }) => fault.needsClocks),
	];
	return playEach(inOrder, {
		start: (needsClocks) => FaultFleet.start(table.names, needsClocks),
		needsClocks: ({ fault }) => fault.needsClocks === true,
		canTurnClocks: FaultFleet.canTurnClocks,
		play: (fleet, { phase, fault }) => runScenario(fleet, table, phase, fault),
		row,
		nameOf: ({ phase, fault }) => `${phase.name.padEnd(23)} | ${fault.name.padEnd(46)}`,
		plural: 'scenarios',
	});
}

await run('faults', main);
