/** `rollcall ca rotate` in the folder of an authority: each step by what nodes say, from wherever an earlier run was interrupted. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { authoritiesOf } from '../../../src/config/checks/authorities.js';
import { assertBelongTogether } from '../../../src/config/checks/certificates.js';
import { type CommandResult, runCommand } from '../../support/cli/command.js';

const nodes = ['alpha', 'beta'];
let folder: string;
/** What each node has taken up, as PEM. */
const host = new Map<string, { ca: string; cert: string }>();

const home = (...path: string[]): string => join(folder, 'shop', ...path);
const read = (...path: string[]): string => readFileSync(home(...path), 'utf8');
const ok = ({ code, stdout, stderr }: CommandResult): string => {
	assert.equal(code, 0, stdout + stderr);
	return stdout;
};
const rowOf = (name: string, link = 'up') => ({
	name,
	link,
	reason: link === 'down' ? 'connect ECONNREFUSED' : null,
	authorities: link === 'down' ? null : authoritiesOf(host.get(name)),
});
async function rotate(rows: readonly object[] = nodes.map((name) => rowOf(name)), ...more: string[]) {
	const file = join(folder, 'status.json');
	writeFileSync(file, JSON.stringify({ fleet: { nodes: rows } }));
	return runCommand(['ca', 'rotate', '--dir', home(), '--status', file, ...more]);
}
const takeUpAuthority = (...names: string[]): void => {
	for (const name of names) host.set(name, { ca: read('ca.pem'), cert: host.get(name)?.cert ?? '' });
};
const takeUpAll = (...names: string[]): void => {
	for (const name of names) host.set(name, { ca: read(name, 'ca.pem'), cert: read(name, 'cert.pem') });
};
const accepted = (): string[] => (authoritiesOf({ ca: read('ca.pem'), cert: '' })?.accepts ?? []).map(({ id }) => id);

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-rotate-'));
	const members = nodes.flatMap((name, index) => ['--node', `${name}=10.0.0.${index + 1}`]);
	const app = ['--app', './server.js', '--cwd', '/srv/web', '--port', '8080'];
	ok(await runCommand(['fleet', 'init', 'shop', '--dir', home(), ...members, ...app]));
	takeUpAll(...nodes);
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('what does not fit is refused, and the folder stays as it is', async () => {
	const before = [read('ca.pem'), read('ca.key')];
	const foreign = join(folder, 'other');
	ok(await runCommand(['ca', 'init', '--dir', foreign]));
	ok(await runCommand(['ca', 'issue', 'beta', '--dir', foreign]));
	const [ca, cert] = ['ca.pem', 'cert.pem'].map((file) => readFileSync(join(foreign, 'beta', file), 'utf8'));
	const stranger = { ...rowOf('beta'), authorities: authoritiesOf({ ca: ca ?? '', cert: cert ?? '' }) };
	const cases: [string, object[], number, RegExp][] = [
		[
			'a node that is down',
			[rowOf('alpha'), rowOf('beta', 'down')],
			1,
			/beta is not linked \(connect ECONNREFUSED\), so/,
		],
		[
			'an earlier build',
			[rowOf('alpha'), { name: 'beta', link: 'up', reason: null }],
			1,
			/beta does not say which auth/,
		],
		[
			'another fleet',
			[rowOf('alpha'), stranger],
			1,
			/beta presents a certificate of Rollcall fleet \w+, which is not in/,
		],
		['a name that is a path', [{ ...rowOf('alpha'), name: '../x' }], 2, /names no nodes, or names them in another way/],
		['no nodes', [], 2, /it must hold what rollcall status --json prints/],
	];
	for (const [what, rows, exit, expected] of cases) {
		const { code, stdout, stderr } = await rotate(rows, '--begin');
		assert.deepEqual([code, stdout], [exit, ''], what);
		assert.match(stderr, expected, what);
		assert.deepEqual([read('ca.pem'), read('ca.key')], before, what);
	}
	writeFileSync(home('ca.pem'), `${before[0]}${ca}`);
	const { code, stderr } = await rotate();
	writeFileSync(home('ca.pem'), before[0] ?? '');
	assert.equal(code, 1);
	assert.match(stderr, /holds 2 authorities that rollcall ca rotate has not put there/);
	assert.match(
		ok(await rotate()),
		/^no rotation is under way: .* alone, which is valid until \d{4}-.*--begin begins one/,
	);
});

test('each step goes on from where an earlier run was interrupted, and fleet renew bundles what the step needs', async () => {
	const [old] = accepted();
	ok(await rotate(undefined, '--begin'));
	const both = accepted();
	assert.deepEqual([both.length, both[0]], [2, old]);
	// Interrupted before ca.pem was written: not begun, and begun again with the same key.
	const [one] = read('ca.pem').split(/(?<=-----END CERTIFICATE-----\n)/);
	writeFileSync(home('ca.pem'), one ?? '');
	assert.match(ok(await rotate()), /^no rotation is under way/);
	const begun = resultShapes['ca rotate'].parse(JSON.parse(ok(await rotate(undefined, '--begin', '--json'))));
	assert.deepEqual([begun.step, begun.nodes, begun.files], [1, nodes, [home('ca.pem')]]);
	assert.deepEqual(accepted(), both);

	ok(await runCommand(['fleet', 'renew', 'shop', '--dir', home()]));
	takeUpAll('alpha');
	assert.deepEqual(authoritiesOf(host.get('alpha')), { accepts: rowOf('alpha').authorities?.accepts, presents: [old] });
	const early = await rotate();
	assert.deepEqual([early.code, early.stdout], [1, '']);
	assert.match(early.stderr, /step 1 of 3: beta does not accept Rollcall fleet \w+ yet\. Copy .*Nothing was changed\./);
	takeUpAuthority('beta');

	ok(await rotate());
	for (const node of nodes) {
		const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((file) => read(node, file));
		assertBelongTogether(node, { ca: ca ?? '', cert: cert ?? '', key: key ?? '' });
		assert.deepEqual(authoritiesOf({ ca: ca ?? '', cert: cert ?? '' })?.presents, [both[1]]);
	}
	// Interrupted between the files of a node: that node's are made anew, the other's stay.
	const kept = read('alpha', 'key.pem');
	rmSync(home('beta', 'cert.pem'));
	const again = resultShapes['ca rotate'].parse(JSON.parse(ok(await rotate(undefined, '--json'))));
	assert.deepEqual([again.step, again.nodes], [2, nodes]);
	assert.deepEqual(
		again.files,
		['key.pem', 'cert.pem', 'ca.pem'].map((file) => home('beta', file)),
	);
	assert.equal(read('alpha', 'key.pem'), kept);
	ok(await runCommand(['fleet', 'renew', 'shop', '--dir', home()]));
	takeUpAll(...nodes);

	const ended = resultShapes['ca rotate'].parse(JSON.parse(ok(await rotate(undefined, '--json'))));
	assert.deepEqual([ended.step, ended.nodes, accepted()], [3, nodes, [both[1]]]);
	// Interrupted before the new key took the place of the old one.
	renameSync(home('ca.key'), home('next.key'));
	writeFileSync(home('ca.key'), readFileSync(join(folder, 'other', 'ca.key'), 'utf8'), { mode: 0o600 });
	ok(await runCommand(['ca', 'issue', 'gamma', '--dir', home()]));
	takeUpAuthority(...nodes);
	assert.match(ok(await rotate()), /^no rotation is under way/);
	assert.equal(existsSync(home('next.key')), false);
	ok(await runCommand(['ca', 'issue', 'delta', '--dir', home()]));

	ok(await rotate(undefined, '--begin'));
	ok(await runCommand(['ca', 'init', '--dir', home(), '--force']));
	assert.equal(existsSync(home('next.key')), false, 'a new authority forgets the rotation');
});
