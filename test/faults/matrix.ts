/**
 * Every fault in every phase of a rollout, on real daemons in networks of their own.
 *   npm run faults                  the whole matrix
 *   npm run faults -- --undo        that of a bad release which the fleet puts back
 *   npm run faults -- --one-each    one fault a phase
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
	'undo opened': "SIGKILL of the coordinator's daemon",
	'first step back': "SIGKILL of the target's daemon",
};

interface Cell {
	phase: Phase;
	fault: Fault;
}

function chosen(): { table: Table; cells: Cell[] } {
	const values = readFlags({
		undo: { type: 'boolean' },
		'one-each': { type: 'boolean' },
		phase: { type: 'string' },
		fault: { type: 'string' },
	});
	const table = values.undo ? undo : roll;
	const { phases } = table;
	mustName('phase', values.phase, phases);
	mustName('fault', values.fault, faults);
	const isChosen = ({ phase, fault }: Cell): boolean => {
		if (values['one-each'] && !fault.name.includes(oneEach[phase.name] ?? 'none')) return false;
		return phase.name.includes(values.phase ?? '') && fault.name.includes(values.fault ?? '');
	};
	const all = phases.flatMap((phase) => faults.map((fault) => ({ phase, fault }))).filter(isChosen);
	if (all.length === 0) throw new WrongFlag('--phase and --fault leave no scenario of those with --one-each');
	// Those that need other clocks come last: they need a fleet that was started with such.
	const cells = [...all.filter(({ fault }) => !fault.needsClocks), ...all.filter(({ fault }) => fault.needsClocks)];
	return { table, cells };
}

function mustName(flag: string, words: string | undefined, all: readonly { name: string }[]): void {
	if (words === undefined || all.some(({ name }) => name.includes(words))) return;
	throw new WrongFlag(`no ${flag} holds '${words}'; they are ${all.map(({ name }) => name).join(', ')}`);
}

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const row = ({ phase, fault, broken, text, durationMs }: Outcome): string => {
	const verdict = broken.length === 0 ? 'held' : 'BROKEN';
	const seconds = (durationMs / 1000).toFixed(1);
	return `${phase.padEnd(23)} | ${fault.padEnd(46)} | ${verdict.padEnd(6)} | ${seconds.padStart(5)} s | ${[text, ...broken].join(' !! ')}`;
};

async function main(): Promise<number> {
	const { table, cells } = chosen();
	if (process.getuid?.() !== 0) {
		process.stderr.write(
			'faults: needs root, for networks, disks and signals of its own; run it as root. Nothing was run.\n',
		);
		return 1;
	}
	write(`${cells.length} scenarios; ${settings(table)}`);
	return playEach(cells, {
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
