import { waitFor } from '../../support/fleet/nodes.js';
import type { Host } from '../fleet.js';
import type { Seen } from '../operator.js';
import type { Scene } from '../scene.js';
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

export const disks: readonly Scene[] = [
	full('alpha', 'the coordinator'),
	full('beta', 'a target'),
	{
		name: 'disk fills amid a roll',
		did: "the coordinator's and the target's disk fill while beta is replaced",
		ends: 'done',
		rolls: 1,
		play: async ({ fleet, operator }) => {
			fleet.hold('beta');
			const births = fleet.births('beta');
			const typed = operator.types('alpha', roll);
			try {
				await waitFor("beta's new workers", () => fleet.births('beta') > births);
				fleet.fill('alpha');
				fleet.fill('beta');
				fleet.release('beta');
				operator.sees(await operator.looks('alpha', /make space/));
			} finally {
				fleet.release('beta');
				fleet.empty('alpha');
				fleet.empty('beta');
			}
			const said = await typed;
			if (said.code !== 0) await operator.follows(said, { until: () => fleet.hasCompleted('alpha') });
		},
	},
];
