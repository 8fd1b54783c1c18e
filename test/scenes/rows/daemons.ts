import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../support/fleet/nodes.js';
import { freePorts } from '../../support/system/ports.js';
import { hosts, type Host, leaseMs } from '../fleet.js';
import type { Scene, Stage } from '../scene.js';
import { allPresented } from '../presented.js';

export const roll = 'rollcall rollout start';
/** Longer than a takeover takes. */
export const takeoverMs = 2 * leaseMs;
const flaps = 6;
const flapMs = 700;

/** A roll that is in beta's step, which lasts until what is done to the fleet is done; then to its end. */
async function amidRoll({ fleet, operator }: Stage, on: Host, act: () => Promise<void>): Promise<void> {
	fleet.hold('beta');
	const births = fleet.births('beta');
	const typed = operator.types(on, roll);
	try {
		await waitFor("beta's new workers", () => fleet.births('beta') > births);
		await act();
	} finally {
		fleet.release('beta');
	}
	const said = operator.sees(await typed);
	if (said.code === 0) return;
	await fleet.settledOrHalted(on);
	await operator.follows(said, { until: () => fleet.hasCompleted(on) });
}

export const daemons: readonly Scene[] = [
	{
		name: 'daemons restarted amid a roll',
		did: 'SIGTERM and a start of each daemon in turn while beta is replaced',
		ends: 'done',
		rolls: 1,
		play: async (stage) => {
			const { fleet } = stage;
			await amidRoll(stage, 'alpha', async () => {
				for (const host of hosts) {
					await fleet.node(host).kill('SIGTERM');
					await fleet.startDaemon(host);
				}
			});
		},
	},
	{
		name: 'coordinator restarted amid a roll',
		did: 'SIGKILL of the daemon that was asked while beta is replaced, and a start',
		ends: 'done',
		rolls: 1,
		quick: true,
		play: async (stage) =>
			amidRoll(stage, 'alpha', async () => {
				await stage.fleet.node('alpha').kill();
				await stage.fleet.startDaemon('alpha');
			}),
	},
	{
		name: 'daemons stopped amid a roll',
		did: 'SIGSTOP of each daemon in turn, longer than a lease, while beta is replaced',
		ends: 'done',
		rolls: 1,
		play: async (stage) =>
			amidRoll(stage, 'alpha', async () => {
				for (const host of hosts) {
					const { child } = stage.fleet.node(host);
					child?.kill('SIGSTOP');
					await delay(takeoverMs);
					child?.kill('SIGCONT');
				}
			}),
	},
	{
		name: 'one-way cut amid a roll',
		did: 'what the coordinator sends does not reach beta, longer than a lease, while beta is replaced',
		ends: 'done',
		rolls: 1,
		play: async (stage) =>
			amidRoll(stage, 'alpha', async () => {
				stage.fleet.networks.cut('alpha', 'beta');
				await delay(2 * takeoverMs);
				stage.fleet.networks.heal();
			}),
	},
	{
		name: 'partial cut',
		did: 'alpha and gamma do not reach each other, all others do; a roll is asked for',
		ends: 'done',
		rolls: 1,
		play: async (stage) => {
			const { fleet, operator } = stage;
			fleet.networks.cut('alpha', 'gamma');
			fleet.networks.cut('gamma', 'alpha');
			try {
				operator.sees(await operator.looks('alpha', /no link to gamma/));
				const said = await operator.types('alpha', roll);
				fleet.networks.heal();
				if (said.code !== 0) await operator.follows(said, { until: () => fleet.hasCompleted('alpha') });
			} finally {
				fleet.networks.heal();
			}
		},
	},
	{
		name: 'flapping link',
		did: 'beta is cut off and reached again, six times, while it is replaced',
		ends: 'done',
		rolls: 1,
		play: async (stage) =>
			amidRoll(stage, 'alpha', async () => {
				for (let flap = 0; flap < flaps; flap++) {
					stage.fleet.networks.isolate('beta');
					await delay(flapMs);
					stage.fleet.networks.heal();
					await delay(flapMs);
				}
			}),
	},
	{
		name: 'two operators',
		did: 'a roll is asked for on alpha and on delta at once',
		ends: 'done',
		rolls: 1,
		quick: true,
		play: async ({ fleet, operator }) => {
			const both = await Promise.all([operator.types('alpha', roll), operator.types('delta', roll)]);
			const [second, ...others] = both.filter(({ code }) => code === 8);
			assert.ok(second && others.length === 0, both.map(({ text }) => text).join('\n'));
			operator.sees(second);
			await operator.follows(second, { until: () => fleet.hasCompleted('delta') });
		},
	},
	{
		name: 'reload amid a roll',
		did: 'a new certificate and systemctl reload on gamma while beta is replaced',
		ends: 'done',
		rolls: 1,
		play: async (stage) => {
			const { fleet, operator } = stage;
			const gamma = hosts.indexOf('gamma');
			const serial = async () => (await allPresented(fleet))[gamma]?.serial;
			const before = await serial();
			await operator.issues('gamma');
			await amidRoll(stage, 'alpha', async () => {
				await operator.done(`ssh ${fleet.nameOf('gamma')} systemctl reload rollcall`);
				operator.sees(await operator.looks('gamma', /A reload .* waits for the end of another rollout/));
				assert.equal(await serial(), before);
			});
			await waitFor('the reload', async () => (await serial()) !== before);
			await operator.looks('gamma', /^(?![\s\S]*A reload)/);
		},
	},
	{
		name: 'an app on some nodes',
		did: 'gamma and delta get an app api beside web, it is rolled alone, then taken out again',
		ends: 'done',
		rolls: 2,
		play: async ({ fleet, operator }) => {
			const having: readonly Host[] = ['gamma', 'delta'];
			const names = having.map((host) => fleet.nameOf(host));
			for (const host of having) {
				const [port = 0] = await freePorts(1);
				const web = fleet.webOf(host);
				const api = { ...web, name: 'api', instances: 1, env: { PORT: String(port), HOST: fleet.node(host).host } };
				fleet.write(host, { top: { http_workers: [web, api] } });
			}
			try {
				const whole = await operator.types('alpha', roll);
				assert.equal(whole.code, 0, whole.text);
				const planned = operator.sees(await operator.types('alpha', 'rollcall rollout plan api'));
				assert.match(planned.text, /passed over, without the app: alpha, beta, epsilon/);
				assert.match(planned.text, /the apps are not the same on all nodes/);
				const rolled = await operator.types('alpha', 'rollcall rollout start api');
				assert.equal(rolled.code, 0, rolled.text);
				for (const name of names) assert.match(rolled.text, new RegExp(`^${name} +back`, 'm'));
				const nowhere = await operator.types('alpha', 'rollcall rollout plan nowhere');
				const refused = await operator.types('alpha', 'rollcall rollout start nowhere');
				assert.deepEqual([nowhere.code, refused.code], [1, 1], refused.text);
			} finally {
				for (const host of having) fleet.write(host);
			}
			const after = await operator.types('alpha', roll);
			assert.equal(after.code, 0, after.text);
		},
	},
];
