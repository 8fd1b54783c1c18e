import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';
import { ConfigurationError } from '../../../src/config/document/faults.js';
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../../src/config/load.js';

/** A private folder with a configuration and the files that it names. */
export class ConfigurationFolder {
	readonly path = mkdtempSync(join(tmpdir(), 'rc-c-'));

	/** Writes a file, making its folder, and returns its path. The mode is set whatever the umask says. */
	write(name: string, text: string | Buffer, mode = 0o600): string {
		const file = join(this.path, name);
		mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
		writeFileSync(file, text);
		chmodSync(file, mode);
		return file;
	}

	load(text: string, options: Partial<LoadOptions> = {}): LoadedConfig {
		return loadConfig({ file: this.write('rollcall.yaml', text), env: {}, ...options });
	}

	/** The error that a configuration is refused with. */
	refusal(text: string, options: Partial<LoadOptions> = {}): ConfigurationError {
		try {
			this.load(text, options);
		} catch (error) {
			assert.ok(error instanceof ConfigurationError, inspect(error));
			return error;
		}
		assert.fail(`accepted:\n${text}`);
	}

	/** The lines of the refusal, this folder cut off the paths and `rollcall.yaml` off the places. */
	refusals(text: string, options: Partial<LoadOptions> = {}): string[] {
		const lines = this.refusal(text, options).message.split('\n');
		return lines.map((line) => line.replaceAll(`${this.path}/`, '').replace(/^rollcall\.yaml:(?=\d)/, ''));
	}

	remove(): void {
		rmSync(this.path, { recursive: true });
	}
}
