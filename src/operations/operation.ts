import type { FieldSet, RequestOf } from './fields.js';
import type { Access, Follow, Operation, OperationContext } from './types.js';

/** Makes a row of the table; the handler's request has the types that the fields promise. */
export function operation<const Fields extends FieldSet>(row: {
	name: string;
	access: Access;
	fields: Fields;
	summary: string;
	changes?: true;
	answer: Record<string, unknown>;
	handler(context: OperationContext, request: RequestOf<Fields>): unknown;
	follow?(context: OperationContext, request: RequestOf<Fields>): Follow;
	stream?(context: OperationContext, request: RequestOf<Fields>, signal: AbortSignal): AsyncIterable<unknown>;
}): Operation {
	// Dispatch has checked the request against these very fields, which is what makes the casts true.
	const { follow, stream } = row;
	return {
		name: row.name,
		access: row.access,
		fields: row.fields,
		summary: row.summary,
		changes: row.changes ?? false,
		answer: row.answer,
		handler: (context, request) => row.handler(context, request as RequestOf<Fields>),
		...(follow ? { follow: (context, request) => follow(context, request as RequestOf<Fields>) } : {}),
		...(stream ? { stream: (context, request, signal) => stream(context, request as RequestOf<Fields>, signal) } : {}),
	};
}

/** Whose name a rollout carries, and an operator's word on it. */
export const userOf = ({ caller }: OperationContext): string => caller.user ?? 'nobody';
