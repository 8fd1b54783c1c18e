import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../support/fleet/nodes.js';
import { mountDisk, mountImage, repairImage, turnReadOnly } from '../../support/system/disk.js';
import { type Host, type SceneFleet, stateDirSize } from '../fleet.js';
import type { Seen } from '../operator.js';
import type { Scene, Stage } from '../scene.js';
import { roll } from './daemons.js';

const full = (host: Host, who: string): Scene => ({
	name: `disk full on ${who}`,
	did: `the disk below state_dir of ${host} is full; a roll is asked for on alpha`,
	ends: 'done',
	rolls: 1,
	play: async ({ fleet, operator }) => {
		fleet.fill(host);
		let typed: Promise<Seen>;
		try {
			typed = operator.types('alpha', roll);
			operator.sees(await operator.looks(host, /has only 0 MiB free: make space there/));
		} finally {
			fleet.empty(host);
		}
		const said = await typed;
		if (said.code !== 0) await operator.follows(said, { until: () => fleet.hasCompleted('alpha') });
	},
});

/** Damages the disks while a roll replaces workers on beta; the operator reads the cause, and `mend` repairs them. */
async function amidRoll(
	{ fleet, operator }: Stage,
	{ harm, sees, at, mend }: { harm: () => void; sees: RegExp; at: Host; mend: () => Promise<void> },
): Promise<void> {
	fleet.hold('beta');
	const births = fleet.births('beta');
	const typed = operator.types('alpha', roll);
	try {
		await waitFor("beta's new workers", () => fleet.births('beta') > births);
		harm();
		fleet.release('beta');
		operator.sees(await operator.looks(at, sees));
	} finally {
		fleet.release('beta');
		await mend();
	}
	const said = await typed;
	if (said.code !== 0) await operator.follows(said, { until: () => fleet.hasCompleted('alpha') });
}

const fills = (places: readonly Host[], who: string): Scene => ({
	name: `disk fills amid a roll on ${who}`,
	did: `the disk below state_dir of ${places.join(' and ')} fills while beta is replaced`,
	ends: 'done',
	rolls: 1,
	play: (stage) =>
		amidRoll(stage, {
			harm: () => {
				for (const host of places) stage.fleet.fill(host);
			},
			at: places[0] ?? 'alpha',
			sees: /ENOSPC|make space/,
			mend: async () => {
				for (const host of places) stage.fleet.empty(host);
			},
		}),
});

/** A host's daemon is stopped while its state moves to the disk that `mount` makes. */
async function moveState(fleet: SceneFleet, host: Host, mount: (stateDir: string) => void): Promise<void> {
	const node = fleet.node(host);
	await node.kill('SIGTERM');
	const kept = mkdtempSync(join(node.folder, 'kept-'));
	cpSync(node.stateDir, kept, { recursive: true, preserveTimestamps: true });
	execFileSync('umount', [node.stateDir]);
	mount(node.stateDir);
	cpSync(kept, node.stateDir, { recursive: true, preserveTimestamps: true });
	rmSync(kept, { recursive: true });
	await fleet.startDaemon(host);
}

const turnsReadOnly = (host: Host, who: string): Scene => ({
	name: `disk turns read-only amid a roll on ${who}`,
	did: `the disk below state_dir of ${host}, ext4, turns read-only while beta is replaced`,
	ends: 'done',
	rolls: 1,
	play: async (stage) => {
		const { fleet } = stage;
		const node = fleet.node(host);
		const image = join(node.folder, 'disk.img');
		await moveState(fleet, host, (folder) => mountImage(folder, image));
		await fleet.settled();
		try {
			await amidRoll(stage, {
				harm: () => turnReadOnly(node.stateDir),
				at: host,
				sees: /read-only.*mount it writable again, then restart this daemon/,
				mend: async () => {
					await node.kill('SIGTERM');
					repairImage(node.stateDir, image);
					await fleet.startDaemon(host);
				},
			});
			await fleet.settled();
		} finally {
			await moveState(fleet, host, (folder) => mountDisk(folder, stateDirSize, 'rc-scenes')).finally(() =>
				rmSync(image, { force: true }),
			);
		}
	},
});

export const disks: readonly Scene[] = [
	full('alpha', 'the coordinator'),
	full('beta', 'a target'),
	fills(['alpha'], 'the coordinator'),
	fills(['beta'], 'the target'),
	fills(['alpha', 'beta'], 'both'),
	turnsReadOnly('alpha', 'the coordinator'),
	turnsReadOnly('beta', 'the target'),
];
