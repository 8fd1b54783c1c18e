import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { DaemonLog } from '../../support/daemon-log.js';
import { freePorts } from '../../support/system/ports.js';
import { hosts, type Host } from '../fleet.js';
import type { Scene, Stage } from '../scene.js';
import { takeUp } from './certificates.js';

const leaver: Host = 'epsilon';

/** The members without these hosts' nodes. */
const without = ({ fleet }: Stage, ...out: Host[]): string[] =>
	fleet.members.filter((name) => !out.some((host) => fleet.nameOf(host) === name));

const stayers = (): Host[] => hosts.filter((host) => host !== leaver);

/** A fresh host gets its files and is started; the others get theirs. */
async function bring({ fleet, operator }: Stage, members: string[]): Promise<void> {
	fleet.reinstall(leaver);
	await operator.issues(leaver);
	fleet.writeAll(members);
	await fleet.startDaemon(leaver);
}

const all = ({ fleet }: Stage): string[] => hosts.map((host) => fleet.nameOf(host));

async function change({ operator }: Stage, on: Host = 'alpha'): Promise<void> {
	const { code, text } = await operator.types(on, takeUp);
	assert.equal(code, 0, text);
}

export const members: readonly Scene[] = [
	{
		name: 'rename',
		did: 'gamma becomes omega, in all files at once',
		ends: 'done',
		rolls: 0,
		play: async (stage) => {
			const { fleet, operator } = stage;
			const others = without(stage, 'gamma');
			const old = fleet.nameOf('gamma');
			fleet.rename('gamma', 'omega');
			const renamed = [...others, 'omega'];
			fleet.writeAll(renamed);
			const { text, code } = operator.sees(await operator.types('alpha', takeUp));
			assert.notEqual(code, 0);
			// Its words: take it out of the others, send it; restart it with its new name and certificate; add it, send it.
			assert.match(
				text,
				new RegExp(
					`take ${old} out of cluster\\.peers .*replicated=true; give ${old} the new name .*restart its daemon; add`,
				),
			);
			for (const host of hosts) if (host !== 'gamma') fleet.write(host, {}, others);
			await fleet.node('gamma').kill();
			await change(stage);
			await operator.issues('gamma');
			fleet.writeAll(renamed);
			await fleet.startDaemon('gamma');
			await change(stage);
			fleet.members = renamed;
		},
	},
	{
		name: 'remove',
		did: 'epsilon, alive, is left out of all files',
		ends: 'done',
		rolls: 0,
		quick: true,
		play: async (stage) => {
			const { fleet, operator } = stage;
			const left = without(stage, leaver);
			fleet.writeAll(left);
			await change(stage);
			fleet.members = left;
			operator.sees(await operator.looks(leaver, /epsilon has left the fleet .*; stop it, or add it/));
			await fleet.stopLoad(leaver);
			assert.equal((await operator.types(leaver, 'rollcall stop')).code, 0);
		},
	},
	{
		name: 'add',
		did: 'epsilon, a fresh host, is added to all files',
		ends: 'done',
		rolls: 0,
		spoils: [leaver],
		quick: true,
		play: async (stage) => {
			await bring(stage, all(stage));
			await change(stage);
			stage.fleet.members = all(stage);
		},
	},
	{
		name: 'replace a dead one',
		did: 'epsilon loses its power, a fresh host takes its name',
		ends: 'done',
		rolls: 0,
		spoils: [leaver],
		play: async (stage) => {
			const { fleet, operator } = stage;
			await fleet.powerOff(leaver);
			operator.sees(await operator.looks('alpha', /no link to epsilon/));
			await bring(stage, all(stage));
			await fleet.settled();
			await change(stage);
		},
	},
	{
		name: 'remove a dead one',
		did: 'epsilon loses its power, a roll is asked for, then epsilon is left out of the files of the others',
		ends: 'done',
		rolls: 1,
		spoils: [leaver],
		play: async (stage) => {
			const { fleet, operator } = stage;
			await fleet.powerOff(leaver);
			await operator.looks('alpha', /no link to epsilon/);
			const refused = operator.sees(await operator.types('alpha', 'rollcall rollout start'));
			assert.equal(refused.code, 1);
			const left = without(stage, leaver);
			fleet.writeAll(left, stayers());
			await change(stage);
			fleet.members = left;
			assert.equal((await operator.types('alpha', 'rollcall rollout start')).code, 0);
		},
	},
	{
		name: 'add amid a roll',
		did: 'epsilon is added while a roll replaces workers on beta',
		ends: 'done',
		rolls: 1,
		spoils: [leaver],
		play: async (stage) => {
			const { fleet, operator } = stage;
			fleet.hold('beta');
			const rolled = operator.types('delta', 'rollcall rollout start');
			const id = await fleet.runs('delta');
			await bring(stage, all(stage));
			const refused = operator.sees(await operator.types('alpha', takeUp));
			assert.deepEqual([refused.code, refused.text.includes(id)], [8, true], refused.text);
			fleet.release('beta');
			assert.equal((await rolled).code, 0);
			await change(stage);
			fleet.members = all(stage);
		},
	},
	{
		name: 'another port',
		did: "gamma's cluster.listen.port, and its url in all files",
		ends: 'done',
		rolls: 0,
		quick: true,
		play: async (stage) => {
			const [port = 0] = await freePorts(1);
			stage.fleet.move('gamma', { port });
			stage.fleet.writeAll(stage.fleet.members);
			await change(stage);
		},
	},
	{
		name: 'another address',
		did: "gamma's host gets another address, in all files",
		ends: 'done',
		rolls: 0,
		play: async (stage) => {
			const { fleet } = stage;
			const address = fleet.addressOf('gamma').host.replace(/\d+$/, (last) => String(Number(last) + 100));
			const [program = '', ...words] = fleet.networks.launcher('gamma');
			execFileSync(program, [...words, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
			fleet.move('gamma', { address });
			fleet.writeAll(fleet.members);
			await change(stage);
		},
	},
	{
		name: 'leaver dies in its own step',
		did: 'epsilon is left out of all files, and its daemon is killed as its step begins',
		ends: 'done',
		rolls: 0,
		spoils: [leaver],
		play: async (stage) => {
			const { fleet, operator } = stage;
			const left = without(stage, leaver);
			fleet.writeAll(left);
			const log = new DaemonLog(fleet.node(leaver).logFile);
			try {
				const typed = operator.types('alpha', takeUp);
				await log.seen('the step of the leaver', ({ event }) => event === 'step_begun', log.lines.length);
				await fleet.node(leaver).kill();
				const said = operator.sees(await typed);
				fleet.members = left;
				if (said.code !== 0) await operator.follows(said, { until: () => fleet.isWhole() });
			} finally {
				log.close();
			}
			await fleet.stopLoad(leaver);
			await fleet.startDaemon(leaver);
			await operator.looks(leaver, /epsilon (has left the fleet|is no member)/);
			assert.equal((await operator.types(leaver, 'rollcall stop')).code, 0);
			await bring(stage, all(stage));
			await change(stage);
			fleet.members = all(stage);
		},
	},
];
