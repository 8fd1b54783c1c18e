import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFleet, mainScript, type RealFleet, webApp } from '../support/fleet/nodes.js';
import { repository } from '../support/hosts/hosts.js';
import type { Place, Result, Stage } from './player.js';

const names = ['alpha', 'beta', 'gamma'] as const;
const prelude = readFileSync(join(repository, 'test/manual/home.sh'), 'utf8');

/** Three daemons on loopback; each has a `rollcall` of its own, and `ssh NODE` is a shell that has that one. */
export class LoopbackStage implements Stage {
	readonly names = {};
	readonly isInstalled = false;
	private constructor(private readonly fleet: RealFleet) {}

	static async start(): Promise<LoopbackStage> {
		const fleet = await makeFleet(names.map((name) => ({ name })));
		const stage = new LoopbackStage(fleet);
		try {
			stage.#writeHome();
			for (const node of fleet.nodes) {
				node.amend({
					...(node.name === 'beta' ? { node: { name: 'beta', zone: 'east' } } : {}),
					http_workers: [
						{ ...webApp(node.ports.app, node.name), script: './server.js', cwd: join(node.folder, 'srv/web') },
					],
				});
			}
			await stage.#must('release v0');
			await fleet.start();
			await stage.#must('whole');
			return stage;
		} catch (error) {
			await fleet.end();
			throw error;
		}
	}

	run(place: Place, script: string, input = ''): Promise<Result> {
		const text = place === 'home' ? `${prelude}\n${script}` : script;
		const words = place === 'home' ? ['bash', '-c', text] : [join(this.#bin, 'ssh'), place, text];
		return runShell(words, { cwd: this.#desk, env: this.#environment(), input });
	}

	end(): Promise<void> {
		return this.fleet.end();
	}

	get #desk(): string {
		return join(this.fleet.folder, 'desk');
	}
	get #bin(): string {
		return join(this.fleet.folder, 'bin');
	}

	#environment(): NodeJS.ProcessEnv {
		return {
			PATH: `${this.#bin}:${join(repository, 'node_modules/.bin')}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
			HOME: this.#desk,
			PM2_HOME: join(this.#desk, '.pm2'),
		};
	}

	/** The commands of home and of each node. */
	#writeHome(): void {
		const program = `exec '${process.execPath}' '${mainScript}'`;
		for (const path of [this.#desk, this.#bin]) mkdirSync(path);
		const write = (path: string, text: string): void => {
			writeFileSync(path, `#!/bin/bash\n${text}\n`);
			chmodSync(path, 0o755);
		};
		write(join(this.#bin, 'rollcall'), `${program} "$@"`);
		const own = join(this.fleet.folder, '$node');
		const environment = `PATH="${own}/bin:$PATH" SRV="${own}/srv" ADMIN_SOCKET="${own}/run/admin.sock"`;
		write(
			join(this.#bin, 'ssh'),
			`node=$1; shift\nmkdir -p "${own}/root"; cd "${own}/root"\n${environment} exec bash -c "$*"`,
		);
		for (const node of this.fleet.nodes) {
			mkdirSync(join(node.folder, 'bin'));
			write(join(node.folder, 'bin/rollcall'), `${program} "$@" --config '${node.configFile}'`);
		}
	}

	async #must(script: string): Promise<void> {
		const { code, said } = await this.run('home', `set -eu\n${script}`);
		if (code !== 0) throw new Error(`${script}: ${said}`);
	}
}

/** Runs it to its end, with all that it wrote in the order of writing. */
export function runShell(
	[program = '', ...words]: readonly string[],
	{ cwd, env, input }: { cwd: string; env: NodeJS.ProcessEnv; input: string },
): Promise<Result> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, words, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
		let said = '';
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding('utf8').on('data', (text: string) => {
				said += text;
			});
		child.once('error', reject);
		// What it started in the background holds the pipes, and lives on.
		child.once('exit', (code) => setImmediate(() => resolve({ code, said })));
		// A command that reads nothing has ended before its input comes.
		child.stdin.on('error', () => undefined).end(input);
	});
}
