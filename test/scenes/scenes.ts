/**
 * Every job of a year, and its mishaps, on a real fleet of five in networks of its own, with a load on every node.
 *   npm run scenes                       all of them
 *   npm run scenes -- --quick            those of CI, on one fleet
 *   npm run scenes -- --scene rotate     those whose names hold these words; --talk prints what was typed and answered
 */
import { readFlags, run, WrongFlag } from '../support/flags.js';
import { playEach } from '../support/play-each.js';
import { canTurnClocks } from '../support/system/wall-clock.js';
import { SceneFleet } from './fleet.js';
import { play } from './play.js';
import { certificates } from './rows/certificates.js';
import { clocks } from './rows/clocks.js';
import { daemons } from './rows/daemons.js';
import { disks } from './rows/disks.js';
import { manual } from './rows/manual.js';
import { members } from './rows/members.js';
import { mistakeScenes } from './rows/mistakes.js';
import type { Outcome, Scene } from './scene.js';

/** Those that need other clocks come last: they need a fleet that was started with such. */
const scenes: readonly Scene[] = [
	...certificates,
	...members,
	...daemons,
	...disks,
	...mistakeScenes,
	...manual,
	...clocks,
];
const sawMax = 230;

const write = (text: string): void => void process.stdout.write(`${text}\n`);

function row(outcome: Outcome): string {
	const { scene, broken, saw, exit, commands, lost, twice, durationMs } = outcome;
	const first = saw.replace(/\s+/g, ' ');
	return [
		scene.name,
		scene.did,
		first.length > sawMax ? `${first.slice(0, sawMax)}…` : first,
		`exit ${exit ?? '-'}`,
		broken.length > 0 ? `BROKEN ${broken.join(' !! ')}` : scene.ends,
		`${commands} commands`,
		`${lost} lost`,
		`${twice.length} restarted twice`,
		`${(durationMs / 1000).toFixed(1)} s`,
	].join(' | ');
}

async function main(): Promise<number> {
	const flags = readFlags({ quick: { type: 'boolean' }, scene: { type: 'string' }, talk: { type: 'boolean' } });
	const words = flags.scene?.split(',') ?? [''];
	const chosen = scenes.filter(
		({ name, quick }) => (!flags.quick || quick) && words.some((word) => name.includes(word)),
	);
	if (chosen.length === 0)
		throw new WrongFlag(`no scene holds '${flags.scene}'; they are ${scenes.map(({ name }) => name).join(', ')}`);
	if (process.getuid?.() !== 0) {
		process.stderr.write('scenes: needs root, for networks and disks of its own; run it as root. Nothing was run.\n');
		return 1;
	}
	write(
		'scene | what was done | what the operator saw first | exit | state afterwards | way out | lost | restarted twice',
	);
	return playEach(chosen, {
		start: (needsClocks) => SceneFleet.start(needsClocks),
		needsClocks: (scene) => scene.needsClocks === true,
		canTurnClocks,
		play: (fleet, scene) => play(fleet, scene, flags.talk ? write : () => undefined),
		row,
		nameOf: ({ name }) => name,
		plural: 'scenes',
	});
}

await run('scenes', main);
