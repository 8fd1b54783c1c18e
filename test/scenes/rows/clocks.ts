import assert from 'node:assert/strict';
import { waitFor } from '../../support/fleet/nodes.js';
import type { Scene } from '../scene.js';
import { roll } from './daemons.js';

const daySeconds = 86_400;
const hourSeconds = 3_600;

export const clocks: readonly Scene[] = [
	{
		name: 'clock a day ahead',
		did: "gamma's clock is a day ahead; a roll is asked for there",
		ends: 'done',
		rolls: 1,
		needsClocks: true,
		play: async ({ fleet, operator }) => {
			fleet.turnClock('gamma', daySeconds);
			try {
				operator.sees(await operator.looks('alpha', /clock of gamma/));
				const { code, text } = await operator.types('gamma', roll);
				assert.equal(code, 0, text);
			} finally {
				fleet.turnClock('gamma', 0);
			}
		},
	},
	{
		name: 'clocks jump amid a roll',
		did: 'the clocks of alpha and beta jump an hour back while beta is replaced, then another roll',
		ends: 'done',
		rolls: 2,
		needsClocks: true,
		play: async ({ fleet, operator }) => {
			fleet.hold('beta');
			const births = fleet.births('beta');
			const typed = operator.types('alpha', roll);
			try {
				await waitFor("beta's new workers", () => fleet.births('beta') > births);
				fleet.turnClock('alpha', -hourSeconds);
				fleet.turnClock('beta', -hourSeconds);
				operator.sees(await operator.looks('gamma', /clock of alpha/));
				fleet.release('beta');
				assert.equal((await typed).code, 0);
				assert.equal((await operator.types('alpha', roll)).code, 0);
				const history = await operator.types('delta', 'rollcall rollout history --limit 2');
				assert.equal(history.text.match(/completed/g)?.length, 2, history.text);
			} finally {
				fleet.release('beta');
				fleet.turnClock('alpha', 0);
				fleet.turnClock('beta', 0);
			}
		},
	},
];
