import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../../support/fleet/nodes.js';
import { commandBlocks, sectionOf } from '../../support/pages/home-shell.js';
import { freePorts } from '../../support/system/ports.js';
import { hosts, type Host } from '../fleet.js';
import { follow, type Phrases } from '../page.js';
import { allPresented } from '../presented.js';
import type { Scene, Stage } from '../scene.js';

const leaver: Host = 'epsilon';
const moved: Host = 'delta';
const certificatesPage = 'operate/certificates';
const membersPage = 'operate/members';

/** What the page calls step 3, and its other steps before it. */
const membersSteps = sectionOf(membersPage);
const [stepThree = []] = commandBlocks(membersSteps);

const namesOf = ({ fleet }: Stage): string[] => hosts.map((host) => fleet.nameOf(host));
const without = (stage: Stage, host: Host): string[] =>
	namesOf(stage).filter((name) => name !== stage.fleet.nameOf(host));
const stayers = hosts.filter((host) => host !== leaver);

/** The block of step 3, on any node. */
async function stepThreeOn({ operator, fleet }: Stage, on: Host = 'alpha'): Promise<void> {
	for (const line of stepThree) await operator.done(`ssh ${fleet.nameOf(on)} ${line}`);
}

async function validated({ operator, fleet }: Stage, on: readonly Host[]): Promise<void> {
	for (const host of on) await operator.done(`ssh ${fleet.nameOf(host)} rollcall validate`);
}

/** One row of the page's table, by the job in its first cell. */
function jobOf(job: string): string {
	const row = sectionOf(membersPage, 'One node at a time')
		.split('\n')
		.map((line) => /^\| (.*?) \| (.*) \|$/.exec(line))
		.find((cells) => cells?.[1] === job);
	if (!row?.[2]) throw new Error(`${membersPage} has no job "${job}"`);
	return row[2];
}

const follows = (name: string, did: string, ends: Pick<Scene, 'spoils'>, play: Scene['play']): Scene => ({
	name: `manual: ${name}`,
	did,
	ends: 'done',
	rolls: 0,
	...ends,
	play,
});

/** The row of the table for a job, word by word: `phrases` is what its words mean in this fleet. */
const job = (words: string, ends: Pick<Scene, 'spoils'>, phrases: (stage: Stage) => Phrases): Scene =>
	follows(words, 'the row of the page on members, word by word', ends, (stage) => follow(jobOf(words), phrases(stage)));

async function leftOut(stage: Stage): Promise<void> {
	const { fleet } = stage;
	await fleet.powerOff(leaver);
	fleet.writeAll(without(stage, leaver), stayers);
	fleet.members = without(stage, leaver);
}

let listener: ChildProcess | null = null;
/** The last part of the address that the next halted change gives to gamma. */
let newAddress = 150;

/** A change that halts in gamma's step: its new address has the same port, which another program holds. */
async function halted(stage: Stage): Promise<string> {
	const { fleet, operator } = stage;
	const at = fleet.addressOf('gamma');
	newAddress += 1;
	const address = at.host.replace(/\d+$/, String(newAddress));
	const [enter = '', ...into] = fleet.networks.launcher('gamma');
	execFileSync(enter, [...into, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
	const server = `require('node:net').createServer().listen(${at.port}, '${address}', () => console.log('listening'))`;
	listener = spawn(enter, [...into, process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
	await once(listener.stdout as NonNullable<typeof listener.stdout>, 'data');
	fleet.move('gamma', { address });
	fleet.writeAll(fleet.members);
	const said = await operator.shell(`ssh alpha ${stepThree[0]}`);
	assert.equal(said.code, 6, said.text);
	operator.sees(said);
	await operator.done('ssh alpha rollcall rollout status');
	return at.host;
}

async function releasePort(): Promise<void> {
	if (!listener || listener.exitCode !== null || listener.signalCode !== null) return;
	const ended = once(listener, 'exit');
	listener.kill();
	await ended;
}

const wayOut = (name: string, phrases: (stage: Stage, before: string) => Phrases): Scene =>
	follows(`a change that halted, ${name}`, 'the way out on the page on members, word by word', {}, async (stage) => {
		const section = sectionOf(membersPage, 'A change that halted');
		const bullets = section
			.split(/\n(?=- )/)
			.slice(1)
			.map((text) => (text.split('\n\n')[0] ?? '').replace(/^- (Or )?/, '').replace(/\s+/g, ' '));
		const before = await halted(stage);
		const book = phrases(stage, before);
		const [first = ''] = Object.keys(book);
		const bullet = bullets.find((text) => text.startsWith(first));
		assert.ok(bullet, `the page says "${first}"`);
		try {
			await follow(bullet, book);
		} finally {
			await releasePort();
		}
	});

export const manual: readonly Scene[] = [
	follows('renew', 'the section Renew of the page on certificates, line by line', {}, async (stage) => {
		const { fleet, operator } = stage;
		const [[issue = ''] = [], [reload = '', takeUp = ''] = []] = commandBlocks(sectionOf(certificatesPage, 'Renew'));
		const before = await allPresented(fleet);
		const serial = async (host: Host): Promise<boolean> =>
			(await allPresented(fleet))[hosts.indexOf(host)]?.serial !== before[hosts.indexOf(host)]?.serial;
		for (const host of hosts) {
			const name = fleet.nameOf(host);
			await operator.done(issue.replace('alpha', name));
			operator.copies(host, 'ca.pem', 'cert.pem', 'key.pem');
		}
		await operator.done(`ssh ${fleet.nameOf('gamma')} ${reload}`);
		await waitFor("gamma's new certificate", () => serial('gamma'));
		assert.equal(await serial('beta'), false);
		operator.sees(await operator.done(`ssh ${fleet.nameOf('beta')} ${takeUp}`));
		for (const host of hosts) assert.ok(await serial(host), host);
	}),
	follows('a new authority', 'the section of the page on certificates, line by line', {}, async (stage) => {
		const { fleet, operator } = stage;
		const before = await allPresented(fleet);
		const steps = commandBlocks(sectionOf(certificatesPage, 'A new authority'));
		assert.equal(steps.length, 4);
		for (const line of steps.flat()) await operator.done(line.replace('alpha beta gamma', namesOf(stage).join(' ')));
		const after = await allPresented(fleet);
		for (const [index, { issuer }] of after.entries()) assert.notEqual(issuer, before[index]?.issuer);
	}),
	job('take out a node that is dead', { spoils: [leaver] }, (stage) => ({
		'leave it out of `cluster.peers` on every other node': () => leftOut(stage),
		'step 3': () => stepThreeOn(stage),
		'It is not waited for': () => stage.fleet.settled(stage.fleet.members),
		'If it comes back, its `status` says that it is no member': async () => {
			await stage.fleet.startDaemon(leaver);
			stage.operator.sees(await stage.operator.looks(leaver, /epsilon (has left the fleet|is no member)/));
			await stage.operator.types(leaver, 'rollcall stop');
		},
	})),
	follows(
		'the three steps',
		'epsilon, a fresh host, is added by the steps of the page on members',
		{ spoils: [leaver] },
		async (stage) => {
			const { fleet, operator } = stage;
			await follow(membersSteps.slice(membersSteps.indexOf('1. '), membersSteps.indexOf('```')), {
				'1. Change `cluster.peers` in /etc/rollcall/rollcall.yaml on every node, new and old': async () => {
					fleet.reinstall(leaver);
					await operator.issues(leaver);
					fleet.writeAll(namesOf(stage));
				},
				'`rollcall validate` on each': () => validated(stage, hosts),
				'2. Start the new nodes': () => fleet.startDaemon(leaver),
				'3. On any node': () => stepThreeOn(stage, 'delta'),
			});
			fleet.members = namesOf(stage);
		},
	),
	job('put a new host in its place, under its name', { spoils: [leaver] }, (stage) => {
		const { fleet, operator } = stage;
		return {
			'the same file': () => fleet.powerOff(leaver),
			'an empty `state_dir`': () => fleet.reinstall(leaver),
			'start it': () => fleet.startDaemon(leaver),
			'It votes once it has met all others': () => fleet.settled(),
			'after `rollcall admit_node node=NAME`': async () => {
				await fleet.powerOff(leaver);
				fleet.reinstall(leaver);
				fleet.networks.cut('gamma', leaver);
				fleet.networks.cut(leaver, 'gamma');
				try {
					await fleet.startDaemon(leaver);
					await operator.done(`ssh ${fleet.nameOf('alpha')} rollcall admit_node node=${fleet.nameOf(leaver)}`);
				} finally {
					fleet.networks.heal();
				}
				await fleet.settled();
			},
			'At another address: its new `url` on all others': async () => {
				const [port = 0] = await freePorts(1);
				await fleet.powerOff(leaver);
				fleet.reinstall(leaver);
				fleet.move(leaver, { port });
				fleet.writeAll(fleet.members);
				await fleet.startDaemon(leaver);
			},
			'step 3': () => stepThreeOn(stage),
		};
	}),
	job('rename a node', {}, (stage) => {
		const { fleet, operator } = stage;
		const old = fleet.nameOf('gamma');
		const others = without(stage, 'gamma');
		return {
			'take it out of all others': () => {
				for (const host of hosts) if (host !== 'gamma') fleet.write(host, {}, others);
			},
			'do step 3': () => stepThreeOn(stage),
			'restart it with its new name and certificate': async () => {
				await fleet.node('gamma').kill('SIGTERM');
				fleet.rename('gamma', `${old}2`);
				await operator.issues('gamma');
				fleet.write('gamma', {}, [...others, `${old}2`]);
				await fleet.startDaemon('gamma');
			},
			'add that name everywhere': () => fleet.writeAll(namesOf(stage)),
			'do step 3 again': async () => {
				await stepThreeOn(stage);
				fleet.members = namesOf(stage);
			},
		};
	}),
	job('another address or port', {}, (stage) => {
		const { fleet, operator } = stage;
		const ports = freePorts(2);
		return {
			"one node's `cluster.listen`": async () => fleet.move(moved, { port: (await ports)[0] ?? 0 }),
			'its `url` on every node': () => fleet.writeAll(fleet.members),
			'step 3': () => stepThreeOn(stage),
			'Two nodes that move at once would lose each other, so that is refused': async () => {
				const old = fleet.addressOf('beta').port;
				const oldToo = fleet.addressOf(moved).port;
				const [, one = 0] = await ports;
				const [other = 0] = await freePorts(1);
				fleet.move('beta', { port: one });
				fleet.move(moved, { port: other });
				fleet.writeAll(fleet.members);
				const said = operator.sees(await operator.shell(`ssh alpha ${stepThree[0]}`));
				assert.equal(said.code, 6, said.text);
				fleet.move('beta', { port: old });
				fleet.move(moved, { port: oldToo });
				fleet.writeAll(fleet.members);
				await stepThreeOn(stage);
			},
		};
	}),
	wayOut('corrected and resumed', ({ operator }) => ({
		'Correct what it names': releasePort,
		'`rollcall rollout resume`': async () => {
			await operator.done('ssh alpha rollcall rollout resume');
			await operator.done('ssh alpha rollcall rollout follow');
		},
	})),
	wayOut('sent again with other files', (stage, before) => ({
		'write other files': () => {
			stage.fleet.move('gamma', { address: before });
			stage.fleet.writeAll(stage.fleet.members);
		},
		'send the change again (step 3)': () => stepThreeOn(stage),
		'from a node that is a member before and after it': () => undefined,
		'A node that died meanwhile is taken out so': () => undefined,
	})),
	wayOut('aborted', (stage, before) => {
		const { fleet, operator } = stage;
		let reason = '';
		return {
			'`rollcall rollout abort`': async () => {
				await operator.done('ssh alpha rollcall rollout abort');
			},
			'It ends half-way': async () => {
				reason = (await operator.done('ssh alpha rollcall rollout status')).text;
			},
			'its reason names the nodes that have the new members or addresses and those that have the old ones': () =>
				assert.match(reason, / applied the new file, .* did not/),
			'which do not roll together': () => undefined,
			'To bring them together run `rollcall restart_service service=clustering_config` on the nodes that it names':
				async () => {
					fleet.move('gamma', { address: before });
					fleet.writeAll(fleet.members);
					const [, named = ''] = /to go back, restore the old file on (.*) and run it there/.exec(reason) ?? [];
					for (const name of named.split(', '))
						await operator.done(`ssh ${name} rollcall restart_service service=clustering_config`);
				},
		};
	}),
	follows('a node restarted too early', 'the last words of the page on members', {}, async (stage) => {
		const { fleet, operator } = stage;
		const section = sectionOf(membersPage, 'A change that halted');
		await follow(section.slice(section.lastIndexOf('\n\n')), {
			'A node whose file was changed and which was restarted before the change has other members than the rest, too':
				async () => {
					fleet.write('gamma', {}, without(stage, leaver));
					await fleet.node('gamma').kill('SIGTERM');
					await fleet.startDaemon('gamma');
				},
			'`rollcall rollout start` says so': async () => {
				let said = operator.sees(await operator.shell('ssh alpha rollcall rollout start'));
				await waitFor('the refusal that names gamma', async () => {
					if (/gamma has other members/.test(said.text)) return true;
					said = await operator.shell('ssh alpha rollcall rollout start');
					return false;
				});
				assert.notEqual(said.code, 0);
			},
			'With the same file on every node': () => fleet.writeAll(fleet.members),
			'`rollcall restart_service service=clustering_config` on each': async () => {
				for (const host of hosts)
					await operator.done(`ssh ${fleet.nameOf(host)} rollcall restart_service service=clustering_config`);
			},
			'brings them together': () => fleet.settled(),
		});
	}),
];
