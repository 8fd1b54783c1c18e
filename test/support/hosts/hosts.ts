import { spawn } from 'node:child_process';
import { mkdtemp, realpath, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, as the hosts see it too (read-only). */
export const repository = fileURLToPath(new URL('../../../../', import.meta.url)).replace(/\/$/, '');
const script = join(repository, 'test/support/hosts/hosts.sh');

export interface CommandResult {
	code: number;
	stdout: string;
	stderr: string;
}

/** Booted machines with a real systemd, on a network of their own. Needs root; see hosts/hosts.sh. */
export class TestHosts {
	private constructor(
		private readonly environment: NodeJS.ProcessEnv,
		readonly network: string,
	) {}

	/** `tag` names this run's bridge and control groups: at most 6 letters, another one for each file of tests. */
	static async create(tag: string, network: string): Promise<TestHosts> {
		const state = await mkdtemp(join(tmpdir(), `rc-hosts-${tag}-`));
		const hosts = new TestHosts(
			{ ...process.env, ROLLCALL_HOSTS: state, ROLLCALL_HOSTS_TAG: tag, ROLLCALL_HOSTS_NETWORK: network },
			network,
		);
		await hosts.script('image');
		return hosts;
	}

	/** Boots the host and waits until its systemd has started everything. A host that was off finds its files again. */
	async up(name: string, number: number): Promise<Host> {
		const folders = new Set([repository, await realpath(join(repository, 'node_modules'))]);
		await this.script('up', name, String(number), ...folders);
		return new Host(this, name, `${this.network}.${number}`);
	}

	/** Writes a program that takes `scp FILE… root@HOST:` and puts the files into the host's /root. */
	async writeSecureCopy(path: string): Promise<void> {
		const own = ['ROLLCALL_HOSTS', 'ROLLCALL_HOSTS_TAG', 'ROLLCALL_HOSTS_NETWORK'];
		const text = [
			'#!/bin/bash -eu',
			...own.map((name) => `export ${name}='${this.environment[name]}'`),
			`host=\${@: -1}; host=\${host#root@}; host=\${host%:}`,
			`for file in "\${@:1:$#-1}"; do`,
			`  bash '${script}' run "$host" sh -c 'umask 077; cat > "/root/$1"' sh "\${file##*/}" < "$file"`,
			'done',
			'',
		];
		await writeFile(path, text.join('\n'), { mode: 0o755 });
	}

	async clear(): Promise<void> {
		await this.script('clear');
	}

	/** Runs the script; throws with what it said when it fails. */
	async script(...words: string[]): Promise<void> {
		const { code, stderr } = await this.command(words);
		if (code !== 0) throw new Error(`hosts.sh ${words.join(' ')} ended with ${code}: ${stderr}`);
	}

	command(words: readonly string[], input = ''): Promise<CommandResult> {
		return new Promise((resolve, reject) => {
			const child = spawn('bash', [script, ...words], { env: this.environment, stdio: ['pipe', 'pipe', 'pipe'] });
			const result = { code: -1, stdout: '', stderr: '' };
			child.stdout.setEncoding('utf8').on('data', (text: string) => {
				result.stdout += text;
			});
			child.stderr.setEncoding('utf8').on('data', (text: string) => {
				result.stderr += text;
			});
			child.once('error', reject);
			child.once('close', (code) => resolve({ ...result, code: code ?? -1 }));
			// A command that reads nothing has left before its input came.
			child.stdin.on('error', () => undefined).end(input);
		});
	}
}

export class Host {
	constructor(
		private readonly hosts: TestHosts,
		readonly name: string,
		readonly address: string,
	) {}

	/** Runs a command inside, whatever becomes of it. */
	try(words: readonly string[], input = ''): Promise<CommandResult> {
		return this.hosts.command(['run', this.name, ...words], input);
	}

	/** Runs a command inside; answers what it wrote, throws when it fails. */
	async run(...words: string[]): Promise<string> {
		const { code, stdout, stderr } = await this.try(words);
		if (code !== 0) throw new Error(`${this.name}: ${words.join(' ')} ended with ${code}: ${stdout}${stderr}`);
		return stdout.trim();
	}

	/** A shell's script, run inside by root. */
	shell(text: string): Promise<string> {
		return this.run('sh', '-euc', text);
	}

	async write(path: string, text: string): Promise<void> {
		const { code, stderr } = await this.try(['sh', '-euc', 'mkdir -p "$(dirname "$1")"; cat > "$1"', 'sh', path], text);
		if (code !== 0) throw new Error(`${this.name}: cannot write ${path}: ${stderr}`);
	}

	/** Looks again and again until the answer is the wanted one; throws with the last answer when it never is. */
	async until<Answer>(
		what: string,
		look: () => Promise<Answer>,
		isIt: (answer: Answer) => boolean,
		withinMs = 90_000,
	): Promise<Answer> {
		const end = performance.now() + withinMs;
		for (;;) {
			const answer = await look();
			if (isIt(answer)) return answer;
			if (performance.now() > end) {
				throw new Error(`${this.name}: ${what} not within ${withinMs} ms; last: ${JSON.stringify(answer)}`);
			}
			// A look is a process inside the host, so that this is no busy loop.
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	}

	async shutDown(): Promise<void> {
		await this.hosts.script('off', this.name);
	}

	async cutPower(): Promise<void> {
		await this.hosts.script('cut', this.name);
	}
}
