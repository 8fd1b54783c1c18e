/** Secrets planted on a host in the ways that there are, and the search of the whole host for them. */
import assert from 'node:assert/strict';
import https from 'node:https';
import type { Host } from './hosts.js';

const planted = {
	added: 'canary-added-password',
	altered: 'canary-altered-password',
	wrong: 'canary-wrong-password',
	inField: 'canary-password-in-a-field',
	bearer: 'canary.bearer.token',
	inUrl: 'canary-password-in-url',
	misplaced: 'canary-in-the-wrong-place-of-the-configuration',
};
/** No secret: what must be found in the journal, or the search is blind. */
const control = 'canary-that-is-to-be-found';
const folder = '/opt/canaries';

const basic = (username: string, password: string): string =>
	`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

/** Over TLS, at port 9925 of the host, whose certificate names alpha. */
function ask(host: Host, ca: string, authorization: string, body: object, path = '/'): Promise<string> {
	const at = { host: host.address, port: 9925, servername: 'alpha', ca, agent: false, path, method: 'POST' };
	return new Promise((resolve, reject) => {
		const headers = { authorization, 'content-type': 'application/json' };
		const request = https.request({ ...at, headers }, (response) => {
			let text = '';
			response.setEncoding('utf8').on('data', (part: string) => {
				text += part;
			});
			response.once('end', () => resolve(text));
		});
		request.once('error', reject);
		request.end(JSON.stringify(body));
	});
}

/** Uses secrets well and badly, by command, HTTP and configuration; answers all of them. */
export async function plantSecrets(host: Host, tls: { ca: string; key: string }): Promise<string[]> {
	const command = async (code: number, words: string[], input: string): Promise<string> => {
		const result = await host.try(words, input);
		assert.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`);
		return result.stdout + result.stderr;
	};
	const user = { username: 'carol', password: planted.added, role: 'super_user' };
	const first = basic('carol', planted.added);
	const alter = { operation: 'alter_user', username: 'carol', password: planted.altered };
	const misplaced = { operation: 'set_status', status: { x: planted.inField }, password: planted.inField };
	const status = { operation: 'get_status' };
	const answers = [
		await command(0, ['rollcall', 'add_user', '--fields', '-'], JSON.stringify(user)),
		await ask(host, tls.ca, first, misplaced),
		await ask(host, tls.ca, first, alter),
	];
	const good = basic('carol', planted.altered);
	answers.push(await ask(host, tls.ca, basic('carol', planted.wrong), status));
	answers.push(await ask(host, tls.ca, basic(planted.wrong, 'x'), status));
	answers.push(await ask(host, tls.ca, `Bearer ${planted.bearer}`, status));
	answers.push(await ask(host, tls.ca, good, status, `/?password=${planted.inUrl}`));
	const made = await ask(host, tls.ca, good, { operation: 'create_authentication_tokens' });
	const tokens = Object.values(JSON.parse(made) as Record<string, string>);
	assert.equal(tokens.length, 2, made);
	for (const token of tokens) answers.push(await ask(host, tls.ca, `Bearer ${token}`, { operation: 'list_users' }));
	const login = `export ROLLCALL_USERNAME=carol ROLLCALL_PASSWORD=${planted.altered}`;
	const remote = 'rollcall list_users --url https://alpha:9925 --ca /etc/rollcall/tls/ca.pem';
	answers.push(await command(0, ['sh', '-s'], `${login}; ${remote}`));
	const file = '/etc/rollcall/rollcall.yaml';
	await host.shell(`cp -a ${file} /opt/kept.yaml`);
	await command(0, ['sh', '-s'], `echo 'password: ${planted.misplaced}' >> ${file}`);
	assert.notEqual((await host.try(['systemctl', 'reload', 'rollcall.service'])).code, 0);
	await host.shell(`cat /opt/kept.yaml > ${file}`);
	const stored = JSON.parse(await host.run('cat', '/var/lib/rollcall/users.json')) as { users: { password: string }[] };
	const key = Buffer.from(await host.run('base64', '--wrap=0', '/var/lib/rollcall/token.key'), 'base64');
	const canaries = [
		...Object.values(planted),
		good,
		...tokens,
		...stored.users.map(({ password }) => password.split('$').at(-1) ?? ''),
		...(['hex', 'base64', 'base64url'] as const).map((encoding) => key.toString(encoding)),
		tls.key.split('\n')[1] ?? '',
	];
	for (const canary of canaries) {
		assert.ok(canary.length > 15, canary);
		assert.ok(!answers.some((text) => text.includes(canary)), `${canary} stands in an answer`);
	}
	return canaries;
}

/** Where the secrets stand, in lines: of the journal, of /proc, and names of files. What is looked for stands in no argument. */
export async function searchHost(host: Host, canaries: readonly string[]): Promise<Record<string, string[]>> {
	await host.write(`${folder}/all`, `${[...canaries, control].join('\n')}\n`);
	const find = async (script: string): Promise<string[]> =>
		(await host.shell(`{ ${script}; } 2>/dev/null || true`)).split('\n').filter((line) => line !== '');
	const grep = `grep --text --fixed-strings --file=${folder}/all`;
	await host.shell(`echo ${control} | systemd-cat`);
	const inJournal = `journalctl --sync; journalctl --output=export --no-pager | ${grep} --only-matching | sort -u`;
	const everyone = 'find /etc /run /srv /tmp /usr/lib/rollcall /var -xdev -type f -perm /o=r';
	return {
		journal: (await find(inJournal)).filter((line) => line !== control),
		control: (await find(inJournal)).filter((line) => line === control),
		arguments: await find(`${grep} --files-with-matches /proc/[0-9]*/cmdline`),
		environments: await find(`${grep} --files-with-matches /proc/[0-9]*/environ`),
		'files of Rollcall': await find(
			`${grep} --recursive --files-with-matches /etc/rollcall /run/rollcall /var/lib/rollcall*`,
		),
		'files for everyone': await find(`${everyone} -exec ${grep} --files-with-matches {} +`),
	};
}
