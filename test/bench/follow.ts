/**
 * What following three nodes takes while each writes 1,000 lines a second: `npm run bench:follow`, or `-- --seconds 10`. Real
 * daemons and a real command; it ends with 1 if a line is lost, comes
 * twice, or comes before an earlier one of its node. Of different nodes lines are out of time where a node is half a second late.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startCommand } from '../support/cli/command.js';
import { makeFleet, type RealNode, waitFor } from '../support/fleet/nodes.js';
import { processorMs } from './processor-time.js';

const at = process.argv.indexOf('--seconds');
const seconds = at < 0 ? 60 : Number(process.argv[at + 1]);
const linesPerSecond = 1_000;
const stepMs = 10;

const logOf = ({ workerDir }: RealNode): string => join(workerDir, 'self', 'logs', 'job-1-out.log');
const residentMiB = (pid: number): number =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const fleet = await makeFleet([{ name: 'alpha' }, { name: 'beta' }, { name: 'gamma' }]);
try {
	await fleet.start();
	const { nodes } = fleet;
	for (const node of nodes) writeFileSync(logOf(node), '');
	const words = ['logs', '--node', 'all', '-f', '-n', '0', '--json', '--config', nodes[0]?.configFile ?? ''];
	const command = startCommand(words);
	const heard = new Set<string>();
	for (const { name } of nodes) void command.says(`"node":"${name}"`).then(() => heard.add(name));
	await waitFor('every node to be followed', () => {
		for (const node of nodes) if (!heard.has(node.name)) appendFileSync(logOf(node), 'begin\n');
		return heard.size === nodes.length;
	});
	const pids = [...nodes.map(({ child }) => child?.pid ?? 0), command.child.pid ?? 0];
	const before = pids.map((pid) => ({ resident: residentMiB(pid), processor: processorMs(pid) }));
	const peak = before.map(({ resident }) => resident);
	const began = performance.now();
	let sent = 0;
	for (let passed = 0; passed < seconds * 1000; passed = performance.now() - began) {
		const until = Math.floor((passed * linesPerSecond) / 1000);
		for (const node of nodes) {
			const lines = Array.from(
				{ length: until - sent },
				(_, index) => `${node.name} ${sent + index} ${'x'.repeat(80)}\n`,
			);
			if (lines.length > 0) appendFileSync(logOf(node), lines.join(''));
		}
		sent = until;
		for (const [index, pid] of pids.entries()) peak[index] = Math.max(peak[index] ?? 0, residentMiB(pid));
		await delay(stepMs);
	}
	for (const { name } of nodes) await command.says(`${name} ${sent - 1} `);
	const processor = pids.map((pid, index) => (processorMs(pid) - (before[index]?.processor ?? 0)) / 1_000);
	command.child.kill('SIGINT');
	const { stdout } = await command.result;
	const next = new Map(nodes.map(({ name }) => [name, 0]));
	let lostOrTwice = 0;
	let outOfTime = 0;
	let last = 0;
	for (const line of stdout.trimEnd().split('\n')) {
		const { time, line: text = '' } = JSON.parse(line) as { time: number; line?: string };
		const [name = '', number] = text.split(' ');
		const expected = next.get(name);
		if (expected === undefined) continue;
		if (Number(number) !== expected) lostOrTwice++;
		next.set(name, Number(number) + 1);
		if (time < last) outOfTime++;
		last = Math.max(last, time);
	}
	const who = [...nodes.map(({ name }) => `daemon of ${name}`), 'rollcall logs'];
	process.stdout.write(
		`${sent * nodes.length} lines in ${seconds} s: ${lostOrTwice} lost or twice, ${outOfTime} out of time\n`,
	);
	for (const [index, name] of who.entries()) {
		const [from, to] = [before[index]?.resident ?? 0, peak[index] ?? 0];
		const share = ((processor[index] ?? 0) / seconds) * 100;
		process.stdout.write(
			`  ${name}: ${from.toFixed(0)} to ${to.toFixed(0)} MiB, ${share.toFixed(0)} % of a processor\n`,
		);
	}
	if (lostOrTwice > 0) process.exitCode = 1;
} finally {
	await fleet.end();
}
