/**
 * The fields of an operation: what each must be, the texts that say what is wrong with it, and its JSON Schema. The texts and
 * their order within a field (allowed values, type, emptiness, length) are fixed by the contract.
 */

/** `Value` is what the handler gets once the field has no fault; it exists for the compiler alone. */
export interface Field<Value = unknown, Required extends boolean = boolean> {
	readonly required: Required;
	readonly summary: string;
	readonly schema: Readonly<Record<string, unknown>>;
	/** Its value stands in no log and no record. */
	readonly secret?: boolean;
	/** The error if a required field is missing. */
	readonly missing: (name: string) => string;
	/** Everything that is wrong with a given value; null is given, undefined is not. */
	readonly faults: (name: string, value: unknown, request: Readonly<Record<string, unknown>>) => string[];
	readonly value?: Value;
}

export type FieldSet = Readonly<Record<string, Field>>;

/** What a handler gets: required fields have their type, the others may be undefined. */
export type RequestOf<Fields extends FieldSet> = {
	readonly [Name in keyof Fields]: Fields[Name] extends Field<infer Value, infer Required>
		? Required extends true
			? Value
			: Value | undefined
		: never;
};

/** The most faults that one answer tells, so that no body makes an answer many times its own size. */
const faultsMax = 100;

const isRequired = (name: string): string => `'${name}' is required`;
const oneOf = (name: string, values: readonly string[]): string => `'${name}' must be one of [${values.join(', ')}]`;

export interface TextOptions<Value extends string> {
	summary: string;
	values?: readonly Value[];
	/** Shortest and longest in UTF-16 units, as JavaScript counts. */
	lengthMin?: number;
	lengthMax?: number;
	/** Its value stands in no log and no record. */
	secret?: boolean;
	/** A further rule on what values are allowed; answers its fault. Told where `values` would be. */
	rule?: (value: unknown, request: Readonly<Record<string, unknown>>) => string | null;
}

/** A text that must be given and must not be empty. */
export function text<Value extends string = string>(options: TextOptions<Value>): Field<Value, true> {
	return { ...textRules(options), required: true };
}

/** A text that may be left out, but not be empty. */
export function optionalText<Value extends string = string>(options: TextOptions<Value>): Field<Value, false> {
	return { ...textRules(options), required: false };
}

function textRules(options: TextOptions<string>): Omit<Field<never>, 'required'> {
	const { values, lengthMin = 1, lengthMax, secret = false, rule } = options;
	return {
		summary: options.summary,
		missing: isRequired,
		secret,
		schema: {
			type: 'string',
			minLength: lengthMin,
			...(values ? { enum: values } : {}),
			...(lengthMax === undefined ? {} : { maxLength: lengthMax }),
		},
		faults(name, value, request) {
			const faults: string[] = [];
			if (values && !values.some((allowed) => allowed === value)) faults.push(oneOf(name, values));
			const broken = rule?.(value, request) ?? null;
			if (broken !== null) faults.push(broken);
			if (typeof value !== 'string') faults.push(`'${name}' must be a string`);
			else if (value === '') faults.push(`'${name}' is not allowed to be empty`);
			else if (value.length < lengthMin) {
				faults.push(`'${name}' length must be at least ${lengthMin} characters long`);
			} else if (lengthMax !== undefined && value.length > lengthMax) {
				faults.push(`'${name}' length must be less than or equal to ${lengthMax} characters long`);
			}
			return faults;
		},
	};
}

export function flag(summary: string): Field<boolean, false> {
	return {
		required: false,
		summary,
		missing: isRequired,
		schema: { type: 'boolean' },
		faults: (name, value) => (typeof value === 'boolean' ? [] : [`'${name}' must be a boolean`]),
	};
}

/** A whole number within bounds, both included. */
export function count(options: { summary: string; min: number; max: number }): Field<number, false> {
	const { min, max } = options;
	return {
		required: false,
		summary: options.summary,
		missing: isRequired,
		schema: { type: 'integer', minimum: min, maximum: max },
		faults: (name, value) => (typeof value === 'number' ? countFaults(name, value, min, max) : [notANumber(name)]),
	};
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const durationPattern = /^[1-9][0-9]{0,8}[smhd]$/;

/** Milliseconds of a text that {@link duration} takes. */
export const durationOf = (value: string): number =>
	Number(value.slice(0, -1)) * unitMs[value.slice(-1) as keyof typeof unitMs];

/** Whether {@link durationOf} takes it. */
export const isDuration = (value: string): boolean => durationPattern.test(value);

/** A whole number and a unit within bounds, both included: `30s`, `5m`, `1h`, `90d`. */
export function duration(options: { summary: string; minMs: number; maxMs: number }): Field<string, false> {
	const { minMs, maxMs } = options;
	return {
		required: false,
		summary: options.summary,
		missing: isRequired,
		schema: { type: 'string', pattern: durationPattern.source },
		faults(name, value) {
			if (typeof value !== 'string') return [`'${name}' must be a string`];
			if (!durationPattern.test(value)) return [`'${name}' must be a duration such as 30s, 5m, 1h or 90d`];
			if (durationOf(value) < minMs) return [`'${name}' must be at least ${minMs / unitMs.s}s`];
			return durationOf(value) > maxMs ? [`'${name}' must be at most ${maxMs / unitMs.d}d`] : [];
		},
	};
}

/** A number of nodes, at least one, or a text with per cent. */
export function countOrPercent(summary: string): Field<number | string, false> {
	return {
		required: false,
		summary,
		missing: isRequired,
		schema: {
			oneOf: [
				{ type: 'integer', minimum: 1 },
				{ type: 'string', pattern: '^(100|[1-9][0-9]?)%$' },
			],
		},
		faults(name, value) {
			if (typeof value === 'string' && /^(100|[1-9][0-9]?)%$/.test(value)) return [];
			if (typeof value === 'number') return countFaults(name, value, 1, Number.MAX_SAFE_INTEGER);
			return [`${notANumber(name)}, or a text of per cent from 1% to 100%`];
		},
	};
}

const notANumber = (name: string): string => `'${name}' must be a number`;

function countFaults(name: string, value: number, min: number, max: number): string[] {
	if (!Number.isInteger(value)) return [`'${name}' must be an integer`];
	if (value < min) return [`'${name}' must be greater than or equal to ${min}`];
	return value > max ? [`'${name}' must be less than or equal to ${max}`] : [];
}

/** An array of texts; with `values` each must be one of them, which is then the only fault of an item. */
export function list<Value extends string = string>(options: {
	summary: string;
	values?: readonly Value[];
	/** Fewest items. */
	lengthMin?: number;
}): Field<readonly Value[], false> {
	const { values, lengthMin = 0 } = options;
	const itemFault = (name: string, item: unknown): string | null => {
		if (values) return values.some((allowed) => allowed === item) ? null : oneOf(name, values);
		if (typeof item !== 'string') return `'${name}' must be a string`;
		return item === '' ? `'${name}' is not allowed to be empty` : null;
	};
	return {
		required: false,
		summary: options.summary,
		missing: isRequired,
		schema: {
			type: 'array',
			...(lengthMin > 0 ? { minItems: lengthMin } : {}),
			items: values ? { type: 'string', enum: values } : { type: 'string', minLength: 1 },
		},
		faults(name, value) {
			if (!Array.isArray(value)) return [`'${name}' must be an array`];
			if (value.length < lengthMin) return [`'${name}' must contain at least ${lengthMin} items`];
			const faults: string[] = [];
			for (const [index, item] of value.entries()) {
				const fault = itemFault(`${name}[${index}]`, item);
				if (fault !== null && faults.push(fault) >= faultsMax) break;
			}
			return faults;
		},
	};
}

/** One text, or an array of them with at least one item. */
export function textOrList(options: {
	summary: string;
	/** Longest text, in UTF-16 units. */
	lengthMax: number;
	/** Most items. */
	itemsMax: number;
}): Field<string | readonly string[], false> {
	const { summary, lengthMax, itemsMax } = options;
	const one = optionalText({ summary, lengthMax });
	return {
		required: false,
		summary,
		missing: isRequired,
		schema: { oneOf: [one.schema, { type: 'array', minItems: 1, maxItems: itemsMax, items: one.schema }] },
		faults(name, value, request) {
			if (!Array.isArray(value)) return one.faults(name, value, request);
			if (value.length === 0) return [`'${name}' must contain at least 1 items`];
			if (value.length > itemsMax) return [`'${name}' must contain at most ${itemsMax} items`];
			return value.flatMap((item, index) => one.faults(`${name}[${index}]`, item, request)).slice(0, faultsMax);
		},
	};
}

/** A field with one text for everything that can be wrong with it, its absence included. */
export function withOneFault<Value, Required extends boolean>(
	field: Field<Value, Required>,
	fault: string,
): Field<Value, Required> {
	return {
		...field,
		missing: () => fault,
		faults: (name, value, request) => (field.faults(name, value, request).length > 0 ? [fault] : []),
	};
}

/** Every fault of a request in the contract's order; empty when it may be handled. */
export function faultsOf(fields: FieldSet, request: Readonly<Record<string, unknown>>): string[] {
	const faults: string[] = [];
	for (const name in fields) {
		const field = fields[name];
		if (!field) continue;
		if (Object.hasOwn(request, name)) faults.push(...field.faults(name, request[name], request));
		else if (field.required) faults.push(field.missing(name));
	}
	for (const name of Object.keys(request)) {
		if (faults.length >= faultsMax) break;
		if (name !== 'operation' && !Object.hasOwn(fields, name)) faults.push(`'${name}' is not allowed`);
	}
	return faults;
}
